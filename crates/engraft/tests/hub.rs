//! Pulling bases from a hub: a server on this machine speaks its protocol, and breaks it in every way that matters.
#![allow(clippy::disallowed_methods, reason = "tests write where they like")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use engraft::bases::hub::{Hub, Local, Reference, Settings, registry};
use engraft::error::{Error, Result};
use engraft::files::sha256_hex;
use engraft::progress::{Observer, Silent};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CONFIG: &[u8] = b"{\"architecture\": \"resnet18\"}";
/// What git calls a file that is not large.
const CONFIG_ETAG: &str = "89abcdef0123456789abcdef0123456789abcdef";
const FILE: &str = "model.safetensors";
const BASE: &str = "hf://owner/name";

/// A request as it arrived.
#[derive(Debug, Clone)]
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first byte that is asked for.
    fn first(&self) -> usize {
        self.header("range").map_or(0, |range| range["bytes=".len()..range.len() - 1].parse().unwrap())
    }

    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).ok()? == 0 {
                return None;
            }
            text.push(byte[0]);
        }
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        let mut first = lines.next()?.split(' ').map(str::to_owned);
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Self { method: first.next()?, target: first.next()?, headers })
    }
}

/// An answer: head, and pieces of the body with a pause before each.
#[derive(Debug, Clone)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    pieces: Vec<(Duration, Vec<u8>)>,
}

impl Reply {
    fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), pieces: Vec::new() }
    }

    fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    fn piece(mut self, pause: Duration, bytes: &[u8]) -> Self {
        self.pieces.push((pause, bytes.to_vec()));
        self
    }

    fn redirect(location: impl ToString) -> Self {
        Self::status(302).header("Location", location).header("Content-Length", 0)
    }

    fn refusal(status: u16, code: &str) -> Self {
        Self::status(status).header("X-Error-Code", code).header("Content-Length", 0)
    }

    /// The bytes from `first` on, declared in full; only `sent` of them come.
    fn part(bytes: &[u8], first: usize, sent: usize) -> Self {
        let rest = &bytes[first..];
        let reply = if first == 0 {
            Self::status(200)
        } else {
            Self::status(206).header("Content-Range", format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len()))
        };
        reply.header("Content-Length", rest.len()).piece(Duration::ZERO, &rest[..sent.min(rest.len())])
    }

    fn send(&self, stream: &mut TcpStream, with_body: bool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        for (pause, bytes) in self.pieces.iter().filter(|_| with_body) {
            thread::sleep(*pause);
            stream.write_all(bytes)?;
        }
        stream.flush()
    }
}

/// A server on a port of its own. Its threads end with the test's process.
struct Server {
    address: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), Arc::clone(&log));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&kept));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if let Some(request) = Request::read(&mut stream) {
                        log.lock().unwrap().push(request.clone());
                        let _ = answer(&request).send(&mut stream, request.method != "HEAD");
                    }
                    let _ = stream.shutdown(Shutdown::Write);
                });
            }
        });
        Self { address, log }
    }

    fn log(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// The requests for the weights' bytes.
    fn gets(&self) -> Vec<Request> {
        self.log().into_iter().filter(|request| request.method == "GET" && request.target.contains("weights")).collect()
    }
}

/// Bytes that look like weights.
fn weights(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// What a test changes about the hub: an answer in place of the usual one.
type Twist = Box<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

fn as_usual() -> Twist {
    Box::new(|_| None)
}

/// A hub, the server that has its large files, and a folder for the cache.
struct World {
    hub: Server,
    store: Server,
    temp: tempfile::TempDir,
    bytes: Vec<u8>,
    sha256: String,
}

impl World {
    /// `hub` and `store` are asked before the usual answers.
    fn new(hub: Twist, store: Twist) -> Self {
        Self::with_bytes(weights(300_000), hub, store)
    }

    fn with_bytes(bytes: Vec<u8>, hub: Twist, store: Twist) -> Self {
        let sha256 = sha256_hex(&bytes);
        let of_store = bytes.clone();
        let store = Server::start(move |request| {
            store(request).unwrap_or_else(|| Reply::part(&of_store, request.first(), usize::MAX))
        });
        let usual = Usual {
            location: format!("{}/weights?signature=1", store.address),
            sha256: sha256.clone(),
            size: bytes.len(),
        };
        let hub = Server::start(move |request| hub(request).unwrap_or_else(|| usual.answer(request)));
        Self { hub, store, temp: tempfile::tempdir().unwrap(), bytes, sha256 }
    }

    fn cache(&self) -> PathBuf {
        self.temp.path().join("hub")
    }

    fn repository(&self) -> PathBuf {
        self.cache().join("models--owner--name")
    }

    fn blob(&self) -> PathBuf {
        self.repository().join("blobs").join(&self.sha256)
    }

    fn incomplete(&self) -> PathBuf {
        self.repository().join("blobs").join(format!("{}.incomplete", self.sha256))
    }

    fn settings(&self, more: &[(&str, &str)]) -> Settings {
        settings(self.temp.path(), &self.hub.address, more)
    }

    fn client(&self) -> Hub {
        Hub::new(self.settings(&[]))
    }

    fn pull(&self) -> Result<Local> {
        self.client().pull(&Reference::parse(BASE).unwrap(), &Silent)
    }

    /// The pull fails, with all these words, and no weights are there.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let error = self.pull().unwrap_err();
        assert!(matches!(error, Error::Weights(_)), "{error:?}");
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "`{word}` is missing in: {text}");
        }
        assert!(!self.blob().exists(), "no blob after: {text}");
        assert!(self.client().locate(&Reference::parse(BASE).unwrap()).is_none());
        text
    }

    #[track_caller]
    fn pulled(&self) -> Local {
        let local = self.pull().unwrap();
        assert_eq!(std::fs::read(&local.weights).unwrap(), self.bytes);
        assert_eq!(local.sha256, self.sha256);
        assert!(!self.incomplete().exists());
        local
    }
}

fn settings(home: &Path, endpoint: &str, more: &[(&str, &str)]) -> Settings {
    let fixed =
        [("HF_HOME", home.to_str().unwrap()), ("HF_ENDPOINT", endpoint), ("TORCH_HOME", home.to_str().unwrap())];
    let mut settings = Settings::from_lookup(|name| {
        let mut pairs = more.iter().chain(&fixed);
        pairs.find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
    .unwrap();
    settings.patience.idle = Duration::from_secs(5);
    settings.patience.tries = 3;
    settings.patience.pause = Duration::from_millis(10);
    settings.patience.longest_pause = Duration::from_secs(3);
    settings
}

/// What the hub usually answers.
struct Usual {
    location: String,
    sha256: String,
    size: usize,
}

impl Usual {
    fn answer(&self, request: &Request) -> Reply {
        let Some(rest) = request.target.strip_prefix("/owner/name/resolve/") else {
            return Reply::refusal(401, "RepoNotFound");
        };
        let (revision, file) = rest.split_once('/').unwrap();
        if !["main", "v1", "refs%2Fpr%2F1", COMMIT].contains(&revision) {
            return Reply::refusal(404, "RevisionNotFound");
        }
        match file {
            FILE => self.large(),
            "config.json" => Reply::part(CONFIG, 0, usize::MAX)
                .header("X-Repo-Commit", COMMIT)
                .header("ETag", format!("W/\"{CONFIG_ETAG}\"")),
            _ => Reply::refusal(404, "EntryNotFound"),
        }
    }

    fn large(&self) -> Reply {
        Reply::redirect(&self.location)
            .header("X-Repo-Commit", COMMIT)
            .header("X-Linked-Etag", format!("\"{}\"", self.sha256))
            .header("X-Linked-Size", self.size)
    }
}

/// A twist of the first `times` requests of a method for a file.
fn first(
    times: usize,
    method: &'static str,
    file: &'static str,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Twist {
    let seen = AtomicUsize::new(0);
    Box::new(move |request| {
        let concerned = request.method == method && request.target.contains(file);
        (concerned && seen.fetch_add(1, Ordering::SeqCst) < times).then(|| reply(request))
    })
}

fn always(
    method: &'static str,
    file: &'static str,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Twist {
    first(usize::MAX, method, file, reply)
}

/// All files below a folder, by their paths.
fn tree(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, root: &Path, out: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), root, out);
            } else {
                out.push(entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut out = Vec::new();
    walk(folder, folder, &mut out);
    out.sort();
    out
}

#[test]
fn a_pull_lays_files_where_python_looks() {
    let world = World::new(as_usual(), as_usual());
    let local = world.pulled();
    let root = world.repository();
    let sha256 = &world.sha256;
    assert_eq!(local.commit.as_deref(), Some(COMMIT));
    assert_eq!(local.weights, root.join("snapshots").join(COMMIT).join(FILE));
    assert_eq!(std::fs::read(local.config.as_ref().unwrap()).unwrap(), CONFIG);
    let mut expected = vec![
        format!("blobs/{sha256}"),
        format!("blobs/{CONFIG_ETAG}"),
        "refs/main".to_owned(),
        format!("snapshots/{COMMIT}/config.json"),
        format!("snapshots/{COMMIT}/{FILE}"),
    ];
    expected.sort();
    assert_eq!(tree(&root), expected);
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    let link = std::fs::read_link(&local.weights).unwrap();
    assert_eq!(link, Path::new("../../blobs").join(sha256));
    assert!(world.cache().join(".locks/models--owner--name").join(format!("{sha256}.lock")).is_file());
    let client = world.client();
    assert_eq!(client.locate(&Reference::parse(BASE).unwrap()).unwrap(), local);
    let [pin] = &client.pulled().unwrap()[..] else { panic!("one pin") };
    assert_eq!((pin.repo.as_str(), pin.commit.as_str(), &pin.sha256), ("owner/name", COMMIT, sha256));
    assert_eq!(pin.size, world.bytes.len() as u64);
    local.check(sha256).unwrap();
    assert!(local.check(&"0".repeat(64)).is_err());
}

#[test]
fn a_file_in_a_folder_at_a_revision_with_slashes() {
    let bytes = weights(1000);
    let served = bytes.clone();
    let hub: Twist = Box::new(move |request| {
        request.target.ends_with("/deep/er/x%20y.bin").then(|| {
            assert!(["refs%2Fpr%2F1", COMMIT].iter().any(|revision| request.target.contains(revision)));
            Reply::part(&served, request.first(), usize::MAX)
                .header("X-Repo-Commit", COMMIT)
                .header("ETag", "\"abc123\"")
        })
    });
    let world = World::new(hub, as_usual());
    let reference = Reference::parse("hf://owner/name@refs/pr/1/deep/er/x y.bin").unwrap();
    let local = world.client().pull(&reference, &Silent).unwrap();
    assert_eq!(std::fs::read(&local.weights).unwrap(), bytes);
    assert_eq!(local.sha256, sha256_hex(&bytes));
    assert_eq!(local.weights, world.repository().join("snapshots").join(COMMIT).join("deep/er/x y.bin"));
    assert_eq!(std::fs::read_to_string(world.repository().join("refs/refs/pr/1")).unwrap(), COMMIT);
    assert_eq!(std::fs::read_link(&local.weights).unwrap(), Path::new("../../../../blobs/abc123"));
}

#[test]
fn what_is_here_needs_no_request() {
    let world = World::new(as_usual(), as_usual());
    world.pulled();
    let before = world.hub.log().len();
    world.pulled();
    assert_eq!(world.hub.log().len(), before);
    assert_eq!(world.store.gets().len(), 1);
}

#[test]
fn what_is_here_and_damaged_is_fetched_again() {
    let world = World::new(as_usual(), as_usual());
    world.pulled();
    std::fs::write(world.blob(), &world.bytes[1..]).unwrap();
    let local = world.client().locate(&Reference::parse(BASE).unwrap()).unwrap();
    assert!(local.check(&sha256_hex(&world.bytes[1..])).unwrap_err().to_string().contains("damaged"));
    world.pulled();
    assert_eq!(world.store.gets().len(), 2);
}

#[test]
fn the_second_usual_name_is_tried() {
    let bytes = weights(500);
    let served = bytes.clone();
    let hub: Twist = Box::new(move |request| {
        let reply = || {
            Reply::part(&served, request.first(), usize::MAX).header("X-Repo-Commit", COMMIT).header("ETag", "\"e1\"")
        };
        match request.target.rsplit('/').next() {
            Some(FILE) => Some(Reply::refusal(404, "EntryNotFound")),
            Some("pytorch_model.bin") => Some(reply()),
            _ => None,
        }
    });
    let world = World::new(hub, as_usual());
    let local = world.pull().unwrap();
    assert!(local.weights.ends_with("pytorch_model.bin"));
    assert_eq!(std::fs::read(local.weights).unwrap(), bytes);
}

#[test]
fn a_body_that_breaks_off_is_resumed() {
    let bytes = weights(300_000);
    let store = first(2, "GET", "weights", move |request| Reply::part(&bytes, request.first(), 100_000));
    let world = World::new(as_usual(), store);
    world.pulled();
    let ranges: Vec<_> = world.store.gets().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [None, Some("bytes=100000-".to_owned()), Some("bytes=200000-".to_owned())]);
}

#[test]
fn a_server_that_knows_no_ranges_is_taken_from_the_start() {
    let bytes = weights(300_000);
    let whole = bytes.clone();
    let seen = AtomicUsize::new(0);
    let store: Twist = Box::new(move |_| {
        let sent = if seen.fetch_add(1, Ordering::SeqCst) == 0 { 100_000 } else { usize::MAX };
        Some(Reply::part(&whole, 0, sent))
    });
    let world = World::with_bytes(bytes, as_usual(), store);
    world.pulled();
    assert_eq!(world.store.gets().len(), 2);
}

#[test]
fn a_body_that_always_breaks_off_is_an_error_and_what_came_is_kept() {
    let bytes = weights(300_000);
    let broken = Arc::new(AtomicBool::new(true));
    let is_broken = Arc::clone(&broken);
    let store: Twist =
        Box::new(move |request| is_broken.load(Ordering::SeqCst).then(|| Reply::part(&bytes, request.first(), 1000)));
    let world = World::new(as_usual(), store);
    world.refused(&["broke off", "127.0.0.1"]);
    assert_eq!(world.store.gets().len(), 3);
    assert_eq!(std::fs::read(world.incomplete()).unwrap(), world.bytes[..3000]);
    broken.store(false, Ordering::SeqCst);
    world.pulled();
    assert_eq!(world.store.gets()[3].header("range"), Some("bytes=3000-"));
}

#[test]
fn tries_start_again_with_every_progress() {
    let bytes = weights(300_000);
    let store = first(8, "GET", "weights", move |request| Reply::part(&bytes, request.first(), 30_000));
    let world = World::new(as_usual(), store);
    let mut settings = world.settings(&[]);
    settings.patience.progress = 20_000;
    Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap();
    assert_eq!(world.store.gets().len(), 9);
}

#[test]
fn wrong_bytes_are_refused_and_not_kept() {
    let mut other = weights(300_000);
    other[12_345] ^= 1;
    let found = sha256_hex(&other);
    let store = always("GET", "weights", move |request| Reply::part(&other, request.first(), usize::MAX));
    let world = World::new(as_usual(), store);
    world.refused(&["not the expected", &world.sha256, &found]);
    assert_eq!(world.store.gets().len(), 1);
    assert!(!world.incomplete().exists());
    assert!(tree(&world.repository()).is_empty());
    assert!(world.client().pulled().unwrap().is_empty());
}

#[test]
fn a_damaged_incomplete_file_is_dropped_once() {
    let world = World::new(as_usual(), as_usual());
    std::fs::create_dir_all(world.repository().join("blobs")).unwrap();
    std::fs::write(world.incomplete(), vec![7; 1000]).unwrap();
    world.pulled();
    let ranges: Vec<_> = world.store.gets().iter().map(|request| request.header("range").map(str::to_owned)).collect();
    assert_eq!(ranges, [Some("bytes=1000-".to_owned()), None]);
    // As long as the whole, and longer.
    for length in [300_000, 300_001] {
        let world = World::new(as_usual(), as_usual());
        std::fs::create_dir_all(world.repository().join("blobs")).unwrap();
        std::fs::write(world.incomplete(), vec![7; length]).unwrap();
        world.pulled();
        assert_eq!(world.store.gets().len(), 1);
    }
}

#[test]
fn refusals_of_the_hub_say_what_to_do() {
    let cases: [(u16, &str, &[&str]); 7] = [
        (401, "", &["status 401", "HF_TOKEN", "owner/name"]),
        (401, "RepoNotFound", &["no such repository", "HF_TOKEN"]),
        (403, "GatedRepo", &["gated", "ask for access", "/owner/name", "HF_TOKEN"]),
        (401, "GatedRepo", &["gated"]),
        (404, "RepoNotFound", &["no such repository"]),
        (404, "RevisionNotFound", &["no such revision", "/owner/name/commits/main"]),
        (404, "EntryNotFound", &["no such file", "model.safetensors or pytorch_model.bin", "hf://owner/name/FILE"]),
    ];
    for (status, code, words) in cases {
        let world = World::new(always("HEAD", "", move |_| Reply::refusal(status, code)), as_usual());
        world.refused(words);
        let requests = if code == "EntryNotFound" { 2 } else { 1 };
        assert_eq!(world.hub.log().len(), requests, "{status} {code} is not tried again");
    }
    let world = World::new(as_usual(), as_usual());
    let error = world.client().pull(&Reference::parse("hf://owner/name@v9").unwrap(), &Silent).unwrap_err();
    assert!(error.to_string().contains("no such revision"), "{error}");
    let error = world.client().pull(&Reference::parse("hf://owner/name/x.bin").unwrap(), &Silent).unwrap_err();
    assert!(error.to_string().contains("x.bin"), "{error}");
    let error = world.client().pull(&Reference::parse("hf://owner/other").unwrap(), &Silent).unwrap_err();
    assert!(error.to_string().contains("no such repository"), "{error}");
}

#[test]
fn a_hub_that_asks_for_a_pause_gets_it() {
    let hub = first(1, "HEAD", FILE, |_| Reply::refusal(429, "").header("Retry-After", 1));
    let world = World::new(hub, as_usual());
    let start = Instant::now();
    world.pulled();
    assert!(start.elapsed() >= Duration::from_secs(1));
    // In the hub's own words.
    let hub = first(1, "HEAD", FILE, |_| Reply::refusal(429, "").header("RateLimit", "\"resolvers\";r=0;t=1"));
    let world = World::new(hub, as_usual());
    let start = Instant::now();
    world.pulled();
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[test]
fn a_hub_that_always_asks_for_a_pause_is_given_up() {
    let world = World::new(always("HEAD", FILE, |_| Reply::refusal(429, "").header("Retry-After", 0)), as_usual());
    world.refused(&["too many requests", "wait a while"]);
    assert_eq!(world.hub.log().len(), 3);
    // Longer than anybody waits.
    let world = World::new(always("HEAD", FILE, |_| Reply::refusal(429, "").header("Retry-After", 3600)), as_usual());
    let start = Instant::now();
    world.refused(&["too many requests"]);
    assert_eq!(world.hub.log().len(), 1);
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_server_with_a_passing_problem_is_asked_again() {
    let world = World::new(
        first(2, "HEAD", FILE, |_| Reply::refusal(500, "")),
        first(2, "GET", "weights", |_| Reply::refusal(503, "")),
    );
    world.pulled();
    assert_eq!(world.store.gets().len(), 3);
    let world = World::new(always("HEAD", FILE, |_| Reply::refusal(502, "")), as_usual());
    world.refused(&["the server has a problem", "502"]);
    assert_eq!(world.hub.log().len(), 3);
}

#[test]
fn a_silent_connection_is_given_up() {
    let bytes = weights(300_000);
    let store = always("GET", "weights", move |request| {
        let first = request.first();
        Reply::part(&bytes, first, 1000).piece(Duration::from_secs(20), &bytes[first + 1000..])
    });
    let world = World::new(as_usual(), store);
    let mut settings = world.settings(&[]);
    settings.patience.idle = Duration::from_millis(600);
    settings.patience.tries = 2;
    let start = Instant::now();
    let error = Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(error.contains("silent") || error.contains("broke off"), "{error}");
    assert_eq!(std::fs::metadata(world.incomplete()).unwrap().len(), 2000);
    assert!(!world.blob().exists());
}

#[test]
fn a_slow_connection_that_moves_is_waited_for() {
    let bytes = weights(300_000);
    let store = always("GET", "weights", move |_| {
        let start = Reply::status(200).header("Content-Length", bytes.len());
        bytes.chunks(15_000).fold(start, |reply, chunk| reply.piece(Duration::from_millis(100), chunk))
    });
    let world = World::new(as_usual(), store);
    let mut settings = world.settings(&[]);
    settings.patience.idle = Duration::from_millis(1000);
    let start = Instant::now();
    Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap();
    assert!(start.elapsed() > Duration::from_millis(2000), "longer than the time of idleness");
    assert_eq!(world.store.gets().len(), 1);
}

#[test]
fn a_connection_that_crawls_is_given_up() {
    let bytes = weights(300_000);
    let store = always("GET", "weights", move |request| {
        let from = request.first();
        let start = Reply::status(if from == 0 { 200 } else { 206 })
            .header("Content-Length", bytes.len() - from)
            .header("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()));
        (0..100).fold(start, |reply, at| reply.piece(Duration::from_millis(50), &bytes[from + at..from + at + 1]))
    });
    let world = World::new(as_usual(), store);
    let mut settings = world.settings(&[]);
    settings.patience.idle = Duration::from_millis(600);
    settings.patience.tries = 2;
    let error = Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap_err().to_string();
    assert!(error.contains("crawls"), "{error}");
}

#[test]
fn redirects_in_circles_end() {
    let hub = always("HEAD", FILE, |request| Reply::redirect(&request.target));
    let world = World::new(hub, as_usual());
    world.refused(&["in circles"]);
    assert!(world.hub.log().len() < 12);
    let store = always("GET", "weights", |request| Reply::redirect(&request.target));
    let world = World::new(as_usual(), store);
    world.refused(&["in circles"]);
}

#[test]
fn redirects_to_other_kinds_of_places_are_refused() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    let place = format!("file://{}", secret.path().display());
    for location in [place.as_str(), "ftp://127.0.0.1/x", "http://user:word@127.0.0.1/x", ""] {
        let target = location.to_owned();
        let world = World::new(always("HEAD", FILE, move |_| Reply::redirect(&target)), as_usual());
        // An empty one leads to the folder, where there is no file.
        world.refused(if location.is_empty() { &[] } else { &["the redirect is refused"] });
        let target = location.to_owned();
        let world = World::new(as_usual(), always("GET", "weights", move |_| Reply::redirect(&target)));
        if !location.is_empty() {
            world.refused(&["the redirect is refused"]);
        }
    }
    let world = World::new(always("HEAD", FILE, |_| Reply::status(302)), as_usual());
    world.refused(&["redirects to nowhere"]);
}

#[test]
fn a_renamed_repository_is_followed_on_the_same_server() {
    let hub: Twist = Box::new(|request| {
        let rest = request.target.strip_prefix("/owner/old/")?;
        Some(Reply::status(307).header("Location", format!("/owner/name/{rest}")).header("Content-Length", 0))
    });
    let world = World::new(hub, as_usual());
    let reference = Reference::parse("hf://owner/old").unwrap();
    let client = Hub::new(world.settings(&[("HF_TOKEN", "hf_secret")]));
    let local = client.pull(&reference, &Silent).unwrap();
    assert_eq!(local.sha256, world.sha256);
    assert!(world.cache().join("models--owner--old").join("blobs").join(&world.sha256).is_file());
    assert!(world.hub.log().iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
}

#[test]
fn more_bytes_than_declared_are_refused() {
    // Without a length, until the connection ends.
    let bytes = weights(301_000);
    let store = always("GET", "weights", move |_| Reply::status(200).piece(Duration::ZERO, &bytes));
    let world = World::new(as_usual(), store);
    world.refused(&["longer than the hub said", "300000 bytes"]);
    assert!(!world.incomplete().exists());
    // A length out of all proportion: nothing is read.
    let store = always("GET", "weights", |_| {
        Reply::status(200).header("Content-Length", 1_u64 << 60).piece(Duration::ZERO, &[0; 100])
    });
    let world = World::new(as_usual(), store);
    world.refused(&["longer than the hub said"]);
    assert!(!world.incomplete().exists());
}

#[test]
fn files_over_the_limit_are_not_asked_for() {
    let world = World::new(as_usual(), as_usual());
    let mut settings = world.settings(&[]);
    settings.limit = 299_999;
    let error = Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap_err().to_string();
    assert!(error.contains("too large") && error.contains("299999"), "{error}");
    assert!(world.store.gets().is_empty());
    // More than the disk has.
    let hub: Twist = Box::new(|request| {
        let concerned = request.method == "HEAD" && request.target.ends_with(FILE);
        concerned.then(|| {
            Reply::redirect("http://127.0.0.1:9/weights")
                .header("X-Repo-Commit", COMMIT)
                .header("X-Linked-Etag", "0".repeat(64))
                .header("X-Linked-Size", 1_u64 << 60)
        })
    });
    let world = World::new(hub, as_usual());
    world.refused(&["too large"]);
}

#[test]
fn a_full_disk_is_noticed_before_the_download() {
    let hub: Twist = Box::new(|request| {
        let concerned = request.target.ends_with(FILE);
        concerned.then(|| {
            Reply::status(200)
                .header("X-Repo-Commit", COMMIT)
                .header("ETag", "e1")
                .header("Content-Length", 1_u64 << 59)
        })
    });
    let world = World::new(hub, as_usual());
    let mut settings = world.settings(&[]);
    settings.limit = u64::MAX;
    let error = Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap_err();
    assert!(matches!(error, Error::Output(_)), "{error:?}");
    assert!(error.to_string().contains("no space left"), "{error}");
}

#[test]
fn offline_asks_nobody() {
    let world = World::new(as_usual(), as_usual());
    let reference = Reference::parse(BASE).unwrap();
    let offline = Hub::new(world.settings(&[("HF_HUB_OFFLINE", "1")]));
    for error in [offline.pull(&reference, &Silent).unwrap_err(), offline.require(&reference).unwrap_err()] {
        assert!(matches!(error, Error::Weights(_)), "{error:?}");
        assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
        assert!(error.to_string().contains("models--owner--name"), "{error}");
    }
    assert!(!offline.has(&reference));
    assert!(world.hub.log().is_empty());
    let local = world.pulled();
    let before = world.hub.log().len();
    assert_eq!(offline.pull(&reference, &Silent).unwrap(), local);
    assert_eq!(offline.require(&reference).unwrap(), local);
    assert!(offline.has(&reference));
    assert_eq!(world.hub.log().len(), before);
    let error = world.client().require(&Reference::parse("hf://owner/else").unwrap()).unwrap_err().to_string();
    assert!(error.contains("engraft bases pull hf://owner/else"), "{error}");
}

#[test]
fn the_token_goes_to_the_hub_and_to_nobody_else() {
    let by_file = World::new(as_usual(), as_usual());
    std::fs::write(by_file.temp.path().join("token"), "hf_of_file\n").unwrap();
    by_file.pulled();
    let by_variable = World::new(as_usual(), as_usual());
    let settings = by_variable.settings(&[("HF_TOKEN", "hf_of_variable")]);
    Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap();
    for (world, token) in [(by_file, "Bearer hf_of_file"), (by_variable, "Bearer hf_of_variable")] {
        assert!(world.hub.log().len() >= 3);
        assert!(world.hub.log().iter().all(|request| request.header("authorization") == Some(token)));
        assert_eq!(world.store.gets().len(), 1);
        assert!(world.store.log().iter().all(|request| request.header("authorization").is_none()));
        for file in tree(&world.cache()) {
            let bytes = std::fs::read(world.cache().join(&file)).unwrap();
            assert!(!bytes.windows(6).any(|window| window == b"hf_of_"), "{file}");
        }
    }
    let without = World::new(as_usual(), as_usual());
    without.pulled();
    assert!(without.hub.log().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_token_does_not_come_back_with_a_redirect() {
    // hub -> store -> hub: whoever leads back may read what comes after.
    let back = Arc::new(Mutex::new(String::new()));
    let target = Arc::clone(&back);
    let bytes = weights(300_000);
    let store = always("GET", "weights", move |_| Reply::redirect(target.lock().unwrap().as_str()));
    let hub: Twist =
        Box::new(move |request| request.target.ends_with("/weights-back").then(|| Reply::part(&bytes, 0, usize::MAX)));
    let world = World::new(hub, store);
    *back.lock().unwrap() = format!("{}/weights-back", world.hub.address);
    Hub::new(world.settings(&[("HF_TOKEN", "hf_x")])).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap();
    let last = world.hub.gets();
    assert_eq!(last.len(), 1);
    assert_eq!(last[0].header("authorization"), None);
}

/// A proxy that connects `*.invalid` to the hub or to the store; the log has `METHOD target`.
fn proxy(hub: String, store: String) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&log);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = stream.unwrap();
            let Some(request) = Request::read(&mut client) else { continue };
            let to = if request.target.contains("store.invalid") { &store } else { &hub };
            let mut server = TcpStream::connect(to.strip_prefix("http://").unwrap()).unwrap();
            kept.lock().unwrap().push(request.clone());
            if request.method == "CONNECT" {
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            } else {
                let path = request.target.splitn(4, '/').nth(3).unwrap();
                let mut head = format!("{} /{path} HTTP/1.1\r\n", request.method);
                for (name, value) in &request.headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                server.write_all(format!("{head}\r\n").as_bytes()).unwrap();
            }
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    Server { address, log }
}

#[test]
fn the_way_out_is_by_the_proxy() {
    let hub: Twist = Box::new(|request| {
        request.target.ends_with(FILE).then(|| {
            let bytes = weights(300_000);
            Usual { location: "http://store.invalid/weights".into(), sha256: sha256_hex(&bytes), size: bytes.len() }
                .large()
        })
    });
    let world = World::new(hub, as_usual());
    let proxy = proxy(world.hub.address.clone(), world.store.address.clone());
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let home = tempfile::tempdir().unwrap();
        let settings = settings(home.path(), "http://hub.invalid", &[(variable, &proxy.address), ("HF_TOKEN", "hf_x")]);
        let local = Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap();
        assert_eq!(local.sha256, world.sha256);
    }
    let through = proxy.log();
    assert!(through.iter().any(|request| request.target.contains("hub.invalid")));
    assert!(through.iter().any(|request| request.target.contains("store.invalid")));
    // Not encrypted, and not this machine: no token.
    assert!(world.hub.log().iter().chain(&through).all(|request| request.header("authorization").is_none()));
}

#[test]
fn excepted_hosts_are_asked_directly() {
    let world = World::new(as_usual(), as_usual());
    let proxy = proxy(world.hub.address.clone(), world.store.address.clone());
    let by_proxy = [("HTTP_PROXY", proxy.address.as_str()), ("NO_PROXY", "localhost,127.0.0.1")];
    Hub::new(world.settings(&by_proxy)).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap();
    assert!(proxy.log().is_empty());
    let other = World::new(as_usual(), as_usual());
    let dead = [("HTTP_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "elsewhere.org")];
    let error = Hub::new(other.settings(&dead)).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap_err();
    assert!(error.to_string().contains("connection failed"), "{error}");
    assert!(other.hub.log().is_empty(), "no way round the proxy");
    let strange = other.settings(&[("HTTP_PROXY", "nonsense://x")]);
    assert!(matches!(Hub::new(strange).pull(&Reference::parse(BASE).unwrap(), &Silent), Err(Error::Usage(_))));
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let bytes = weights(300_000);
    let store = always("GET", "weights", move |request| {
        let start = Reply::part(&bytes, request.first(), 100_000);
        start.piece(Duration::from_millis(300), &bytes[100_000..])
    });
    let world = World::new(as_usual(), store);
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..3).map(|_| scope.spawn(|| world.pulled())).collect();
        let locals: Vec<Local> = pulls.into_iter().map(|pull| pull.join().unwrap()).collect();
        assert!(locals.iter().all(|local| *local == locals[0]));
    });
    assert_eq!(world.store.gets().len(), 1);
    assert_eq!(world.client().pulled().unwrap().len(), 1);
}

/// Asks to stop once some bytes have come.
#[derive(Default)]
struct Impatient {
    bytes: AtomicU64,
    said: Mutex<Vec<String>>,
}

impl Observer for Impatient {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, units: u64) {
        self.bytes.fetch_add(units, Ordering::SeqCst);
    }
    fn end(&self) {}
    fn say(&self, line: &str) {
        self.said.lock().unwrap().push(line.to_owned());
    }
    fn interrupted(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) >= 100_000
    }
}

#[test]
fn an_interrupted_pull_can_be_taken_up() {
    let bytes = weights(300_000);
    let store = first(1, "GET", "weights", move |request| {
        Reply::part(&bytes, request.first(), 100_000).piece(Duration::from_secs(20), &bytes[100_000..])
    });
    let world = World::new(as_usual(), store);
    let observer = Impatient::default();
    let start = Instant::now();
    let error = world.client().pull(&Reference::parse(BASE).unwrap(), &observer).unwrap_err();
    assert!(matches!(error, Error::Interrupted), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(3), "also while the connection hangs");
    assert!(observer.said.lock().unwrap().iter().any(|line| line.contains("100000 bytes")));
    assert_eq!(std::fs::read(world.incomplete()).unwrap(), world.bytes[..100_000]);
    world.pulled();
    assert_eq!(world.store.gets()[1].header("range"), Some("bytes=100000-"));
}

#[test]
fn a_commit_that_changes_its_bytes_is_refused() {
    let before = World::new(as_usual(), as_usual());
    before.pulled();
    // The same commit, other bytes, and a hub that stands by them.
    let after = World::with_bytes(weights(200_000), as_usual(), as_usual());
    std::fs::create_dir_all(after.cache()).unwrap();
    let record = before.cache().join("engraft-pins.toml");
    std::fs::copy(&record, after.cache().join("engraft-pins.toml")).unwrap();
    after.refused(&["not the one that was pulled before", &before.sha256, &after.sha256, "engraft-pins.toml"]);
    assert!(after.store.gets().is_empty(), "refused by its SHA-256 alone");
    // A hub that tells no SHA-256: refused by the bytes.
    let hub = |length| -> Twist {
        Box::new(move |request| {
            request.target.ends_with(FILE).then(|| {
                Reply::part(&weights(length), request.first(), usize::MAX)
                    .header("X-Repo-Commit", COMMIT)
                    .header("ETag", format!("\"e{length}\""))
            })
        })
    };
    let before = World::new(hub(5000), as_usual());
    before.pull().unwrap();
    let after = World::new(hub(6000), as_usual());
    std::fs::create_dir_all(after.cache()).unwrap();
    std::fs::copy(before.cache().join("engraft-pins.toml"), after.cache().join("engraft-pins.toml")).unwrap();
    after.refused(&["not the one that was pulled before"]);
    // A record that cannot be read is not a licence to trust.
    std::fs::write(after.cache().join("engraft-pins.toml"), "[[pin]]\nrepo = 1").unwrap();
    after.refused(&["record of pulled bases"]);
}

#[test]
fn a_branch_that_moves_is_another_commit() {
    let world = World::new(as_usual(), as_usual());
    std::fs::create_dir_all(world.repository().join("refs")).unwrap();
    std::fs::write(world.repository().join("refs/main"), "f".repeat(40)).unwrap();
    let observer = Impatient::default();
    observer.bytes.store(0, Ordering::SeqCst);
    let mut settings = world.settings(&[]);
    settings.patience.tries = 1;
    // A commit is not to be answered with another one.
    let asked = Reference::parse(&format!("hf://owner/name@{}", "f".repeat(40))).unwrap();
    let error = Hub::new(settings).pull(&asked, &Silent).unwrap_err();
    assert!(error.to_string().contains("no such revision"), "{error}");
    world.pulled();
    assert_eq!(std::fs::read_to_string(world.repository().join("refs/main")).unwrap(), COMMIT);
    let commit = Reference::parse(&format!("hf://owner/name@{COMMIT}")).unwrap();
    let before = world.hub.log().len();
    assert_eq!(world.client().pull(&commit, &Silent).unwrap().sha256, world.sha256);
    assert_eq!(world.hub.log().len(), before);
}

#[test]
fn another_commit_than_the_one_asked_for_is_refused() {
    let hub: Twist = Box::new(|request| {
        request
            .target
            .ends_with(FILE)
            .then(|| Reply::part(b"x", 0, 1).header("X-Repo-Commit", "f".repeat(40)).header("ETag", "e"))
    });
    let world = World::new(hub, as_usual());
    let asked = Reference::parse(&format!("hf://owner/name@{COMMIT}")).unwrap();
    let error = world.client().pull(&asked, &Silent).unwrap_err().to_string();
    assert!(error.contains("not the hub's") && error.contains(COMMIT), "{error}");
}

#[test]
fn nothing_leads_out_of_the_cache() {
    for text in
        ["hf://../name", "hf://owner/..", "hf://owner/name/../../x", "hf://owner/name@../x/y", "hf://owner/name//etc/x"]
    {
        assert!(matches!(Reference::parse(text), Err(Error::Usage(_))), "{text}");
    }
    let head = |commit: &'static str, linked: &'static str, etag: &'static str| {
        always("HEAD", FILE, move |_| {
            let reply =
                Reply::status(200).header("X-Repo-Commit", commit).header("ETag", etag).header("Content-Length", 1);
            if linked.is_empty() { reply } else { reply.header("X-Linked-Etag", linked) }
        })
    };
    let cases = [
        (head("../../../../x", "", "e"), "X-Repo-Commit"),
        (head("main", "", "e"), "X-Repo-Commit"),
        (head(COMMIT, "../../evil", "e"), "X-Linked-Etag"),
        (head(COMMIT, "\"..\"", "e"), "X-Linked-Etag"),
        (head(COMMIT, "", "\"../../../evil\""), "ETag"),
        (head(COMMIT, "", "\"\""), "ETag"),
    ];
    for (hub, header) in cases {
        let world = World::new(hub, as_usual());
        world.refused(&[header, "invalid"]);
        assert!(tree(world.temp.path()).is_empty(), "nothing was written");
    }
    let nameless = always("HEAD", FILE, |_| Reply::status(200).header("Content-Length", 1));
    World::new(nameless, as_usual()).refused(&["not the hub's", "X-Repo-Commit"]);
}

#[test]
fn a_link_in_place_of_the_incomplete_file_is_not_followed() {
    let world = World::new(as_usual(), as_usual());
    let precious = world.temp.path().join("precious");
    std::fs::write(&precious, b"precious").unwrap();
    std::fs::create_dir_all(world.repository().join("blobs")).unwrap();
    std::os::unix::fs::symlink(&precious, world.incomplete()).unwrap();
    assert!(matches!(world.pull(), Err(Error::Output(_))));
    assert_eq!(std::fs::read(&precious).unwrap(), b"precious");
}

#[test]
fn a_missing_or_broken_config_is_no_obstacle() {
    let world = World::new(always("HEAD", "config.json", |_| Reply::refusal(404, "EntryNotFound")), as_usual());
    assert_eq!(world.pulled().config, None);
    let world = World::new(always("HEAD", "config.json", |_| Reply::refusal(403, "")), as_usual());
    assert_eq!(world.pulled().config, None);
}

#[test]
fn a_known_base_must_have_the_registrys_bytes() {
    // A hub that gives other bytes under the name of a known base, and stands by them.
    let bytes = weights(1000);
    let (sha256, served) = (sha256_hex(&bytes), bytes.clone());
    let entry = registry().iter().find(|entry| entry.repo.is_some() && entry.sha256.is_some()).unwrap();
    let commit = entry.revision.clone().unwrap();
    let (linked, honest) = (sha256.clone(), Arc::new(AtomicBool::new(true)));
    let (is_honest, expected) = (Arc::clone(&honest), entry.sha256.clone().unwrap());
    let hub: Twist = Box::new(move |request| {
        let etag = if is_honest.load(Ordering::SeqCst) { &linked } else { &expected };
        Some(
            Reply::part(&served, request.first(), usize::MAX)
                .header("X-Repo-Commit", &commit)
                .header("X-Linked-Etag", etag),
        )
    });
    let world = World::new(hub, as_usual());
    let reference = Reference::parse(&entry.id).unwrap();
    for stands_by in [true, false] {
        honest.store(stands_by, Ordering::SeqCst);
        let error = world.client().pull(&reference, &Silent).unwrap_err();
        assert!(matches!(error, Error::Weights(_)), "{error:?}");
        assert!(error.to_string().contains(entry.sha256.as_deref().unwrap()), "{error}");
        assert!(world.client().locate(&reference).is_none());
    }
    // A checkpoint of PyTorch's folder that is not what its name says is not taken.
    let entry = registry().iter().find(|entry| entry.sha256_prefix.is_some()).unwrap();
    let folder = world.temp.path().join("hub/checkpoints");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(&entry.file), &bytes).unwrap();
    let reference = Reference::parse(&entry.id).unwrap();
    assert!(world.client().has(&reference));
    assert!(world.client().locate(&reference).is_none());
}

#[test]
fn encryption_is_not_left_out() {
    // A server that answers in plain text where TLS is spoken.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut bytes) = (stream.unwrap(), [0; 64]);
            let length = stream.read(&mut bytes).unwrap();
            kept.lock().unwrap().extend_from_slice(&bytes[..length]);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    let home = tempfile::tempdir().unwrap();
    let settings = settings(home.path(), &endpoint, &[("HF_TOKEN", "hf_x")]);
    let error = Hub::new(settings).pull(&Reference::parse(BASE).unwrap(), &Silent).unwrap_err().to_string();
    assert!(error.contains("https://127.0.0.1"), "{error}");
    assert!(error.contains("no trusted connection") || error.contains("connection failed"), "{error}");
    assert_eq!(heard.lock().unwrap()[0], 22, "a handshake, and no request");
}
