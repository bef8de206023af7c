//! More of the hub's client against a server of the hub's protocol: what an earlier run or another program left, plain
//! addresses, interruptions of waits, parts and codings that were not asked for.

#![allow(clippy::disallowed_methods, reason = "tests write where they like")]

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engraft::bases::hub::{Entry, Hub, Patience, Proxies, Reference, Settings, Token};
use engraft::error::Error;
use engraft::files::sha256_hex;
use engraft::progress::{Observer, Silent};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const CONFIG: &[u8] = br#"{"architecture": "resnet18"}"#;
const CONFIG_ETAG: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A request as the server saw it.
#[derive(Debug, Clone)]
struct Asked {
    method: String,
    path: String,
    headers: HashMap<String, String>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn from(&self) -> usize {
        self.header("range").map_or(0, |range| {
            range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).unwrap().parse().unwrap()
        })
    }
}

/// What the server sends, one after the other.
enum Step {
    Send(Vec<u8>),
}

fn reply(status: u16, headers: &[(&str, String)], body: &[u8]) -> Vec<Step> {
    let mut text = format!("HTTP/1.1 {status} Whatever\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    vec![Step::Send([text.as_bytes(), body].concat())]
}

fn whole(status: u16, body: &[u8]) -> Vec<Step> {
    reply(status, &[("Content-Length", body.len().to_string())], body)
}

type Handler = dyn Fn(&Asked) -> Vec<Step> + Send + Sync;

struct Server {
    address: String,
    log: Arc<Mutex<Vec<Asked>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    fn start(handler: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            log: Arc::default(),
            stop: Arc::default(),
        };
        let (log, stop) = (server.log.clone(), server.stop.clone());
        let handler: Arc<Handler> = Arc::new(handler);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (log, handler) = (log.clone(), handler.clone());
                std::thread::spawn(move || serve(stream, &log, &*handler));
            }
        });
        server
    }

    fn asked(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut parts = line.split_whitespace();
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => return Some(Asked { method, path, headers }),
        };
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, handler: &Handler) {
    let Some(asked) = read_request(&mut BufReader::new(stream.try_clone().unwrap())) else { return };
    log.lock().unwrap().push(asked.clone());
    for step in handler(&asked) {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
        }
    }
}

/// The bytes of the tests' weights: not compressible to a pattern that hides a shift.
fn weights(length: usize) -> Vec<u8> {
    (0..length as u64).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A hub with one file, whose bytes are on another server.
struct Scene {
    hub: Server,
    store: Server,
    temp: tempfile::TempDir,
    bytes: Vec<u8>,
}

/// What the store answers to the request for the bytes from `from` on; `turn` counts from 0.
type Bytes = dyn Fn(&[u8], usize, usize) -> Vec<Step> + Send + Sync;

fn part(bytes: &[u8], from: usize) -> Vec<Step> {
    if from == 0 { whole(200, bytes) } else { partial(bytes, from, bytes.len()) }
}

/// Says that everything from `from` on follows, and stops at `end`.
fn partial(bytes: &[u8], from: usize, end: usize) -> Vec<Step> {
    let range = ("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()));
    let length = ("Content-Length", (bytes.len() - from).to_string());
    let body = &bytes[from..end.max(from)];
    if from == 0 { reply(200, &[length], body) } else { reply(206, &[range, length], body) }
}

fn linked(bytes: &[u8], location: &str) -> Vec<Step> {
    reply(
        302,
        &[
            ("X-Repo-Commit", COMMIT.into()),
            ("X-Linked-Etag", format!("\"{}\"", sha256_hex(bytes))),
            ("X-Linked-Size", bytes.len().to_string()),
            ("Location", location.into()),
            ("Content-Length", "0".into()),
        ],
        b"",
    )
}

fn missing() -> Vec<Step> {
    reply(404, &[("X-Error-Code", "EntryNotFound".into()), ("Content-Length", "0".into())], b"")
}

impl Scene {
    fn new() -> Self {
        Self::with(weights(300_000), |bytes, from, _| part(bytes, from))
    }

    fn with(bytes: Vec<u8>, answer: impl Fn(&[u8], usize, usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let answer: Arc<Bytes> = Arc::new(answer);
        let (stored, turn) = (bytes.clone(), AtomicUsize::new(0));
        let store = Server::start(move |asked| answer(&stored, asked.from(), turn.fetch_add(1, Ordering::SeqCst)));
        let (stored, location) = (bytes.clone(), format!("{}/signed?key=secret", store.address));
        let hub = Server::start(move |asked| {
            if asked.path.ends_with("/model.safetensors") {
                linked(&stored, &location)
            } else if asked.path.ends_with("/config.json") {
                let etag = ("ETag", format!("\"{CONFIG_ETAG}\""));
                let commit = ("X-Repo-Commit", COMMIT.into());
                let body = if asked.method == "HEAD" { b"" } else { CONFIG };
                reply(200, &[etag, commit, ("Content-Length", CONFIG.len().to_string())], body)
            } else {
                missing()
            }
        });
        Self { hub, store, temp: tempfile::tempdir().unwrap(), bytes }
    }

    /// A hub that answers by `handler`, and no store.
    fn hub_only(handler: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let store = Server::start(|_| missing());
        Self { hub: Server::start(handler), store, temp: tempfile::tempdir().unwrap(), bytes: Vec::new() }
    }

    fn settings(&self) -> Settings {
        Settings {
            endpoint: self.hub.address.clone(),
            cache: self.temp.path().join("hub"),
            checkpoints: self.temp.path().join("torch"),
            token: None,
            offline: false,
            proxies: Proxies::default(),
            certificates: None,
            limit: 1 << 30,
            patience: Patience {
                idle: Duration::from_millis(200),
                tries: 4,
                progress: 50_000,
                pause: Duration::from_millis(5),
                longest_pause: Duration::from_secs(2),
            },
        }
    }

    fn client(&self) -> Hub {
        Hub::new(self.settings())
    }

    fn pull(&self) -> Result<engraft::bases::hub::Local, Error> {
        self.client().pull(&reference(), &Silent)
    }

    fn refused(&self) -> String {
        match self.pull().unwrap_err() {
            Error::Weights(problem) => problem.to_string(),
            other => panic!("another kind of error: {other:?}"),
        }
    }

    fn repository(&self) -> PathBuf {
        self.temp.path().join("hub/models--owner--name")
    }

    fn blob(&self) -> PathBuf {
        self.repository().join("blobs").join(sha256_hex(&self.bytes))
    }

    fn incomplete(&self) -> PathBuf {
        self.blob().with_extension("incomplete")
    }

    fn leave_incomplete(&self, bytes: &[u8]) {
        fs::create_dir_all(self.incomplete().parent().unwrap()).unwrap();
        fs::write(self.incomplete(), bytes).unwrap();
    }
}

fn reference() -> Reference {
    Reference::parse("hf://owner/name").unwrap()
}

/// An entry of the registry that is not in the program's.
fn known(more: &str) -> Reference {
    let text = format!(
        r#"
        id = "test/known"
        licence = "MIT"
        architecture = "resnet18"
        good_for = "tests"
        source = "tests"
        preprocessing = {{ height = 8, width = 8, channels = 1, resize = "stretch", interpolation = "bilinear", mean = [0.5], std = [0.5] }}
        {more}"#
    );
    Reference::Known(Box::leak(Box::new(toml::from_str::<Entry>(&text).unwrap())))
}

fn on_hub(sha256: &str) -> Reference {
    known(&format!("repo = \"owner/name\"\nfile = \"model.safetensors\"\nsha256 = \"{sha256}\""))
}

/// Asks to stop once it is told to.
#[derive(Default)]
struct Impatient {
    stop: AtomicBool,
}

impl Observer for Impatient {
    fn begin(&self, _: &str, _: u64, _: &str) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn say(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

#[test]
fn what_python_brought_is_used() {
    let scene = Scene::new();
    let (root, sha256) = (scene.repository(), sha256_hex(&scene.bytes));
    for folder in ["blobs", "refs", &format!("snapshots/{COMMIT}")] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::write(root.join("blobs").join(&sha256), &scene.bytes).unwrap();
    fs::write(root.join("refs/main"), COMMIT).unwrap();
    let path = root.join(format!("snapshots/{COMMIT}/model.safetensors"));
    std::os::unix::fs::symlink(format!("../../blobs/{sha256}"), &path).unwrap();
    assert_eq!(scene.pull().unwrap().weights, path);
    // An entry of the registry finds the bytes whatever the branch is now.
    fs::write(root.join("refs/main"), "f".repeat(40)).unwrap();
    assert_eq!(scene.client().locate(&on_hub(&sha256)).unwrap().weights, path);
    assert!(scene.client().locate(&on_hub(&"0".repeat(64))).is_none(), "other bytes than those of the pin");
    assert!(scene.hub.asked().is_empty());
}

#[test]
fn a_whole_incomplete_file_is_only_verified() {
    let scene = Scene::new();
    scene.leave_incomplete(&scene.bytes);
    assert_eq!(fs::read(scene.pull().unwrap().weights).unwrap(), scene.bytes);
    assert!(scene.store.asked().is_empty());
}

#[test]
fn a_too_long_incomplete_file_is_dropped() {
    let scene = Scene::new();
    scene.leave_incomplete(&vec![7; 300_001]);
    assert_eq!(fs::read(scene.pull().unwrap().weights).unwrap(), scene.bytes);
    assert_eq!(scene.store.asked()[0].from(), 0);
}

#[test]
fn a_good_blob_survives_a_hub_that_turned_bad() {
    let scene = Scene::new();
    scene.pull().unwrap();
    fs::remove_dir_all(scene.repository().join("snapshots")).unwrap();
    let requests = scene.store.asked().len();
    assert_eq!(fs::read(scene.pull().unwrap().weights).unwrap(), scene.bytes);
    assert_eq!(scene.store.asked().len(), requests, "the blob was here");
}

#[test]
fn the_pin_of_the_registry_wins_over_the_hub() {
    let scene = Scene::new();
    let right = on_hub(&sha256_hex(&scene.bytes));
    let wrong = on_hub(&"0".repeat(64));
    let error = scene.client().pull(&wrong, &Silent).unwrap_err().to_string();
    assert!(error.contains("not the expected ones"), "{error}");
    assert!(scene.store.asked().is_empty(), "refused before a byte was fetched");
    assert!(scene.client().pull(&right, &Silent).is_ok());
}

#[test]
fn a_record_that_cannot_be_read_is_not_overwritten() {
    let scene = Scene::new();
    let record = scene.temp.path().join("hub/engraft-pins.toml");
    fs::create_dir_all(record.parent().unwrap()).unwrap();
    fs::write(&record, "pin = 3").unwrap();
    assert!(scene.refused().contains("engraft-pins.toml"));
    assert!(scene.client().require(&reference()).unwrap_err().to_string().contains("engraft-pins.toml"));
    assert_eq!(fs::read_to_string(&record).unwrap(), "pin = 3");
}

#[test]
fn a_pause_and_a_lock_can_be_interrupted() {
    let scene = Scene::hub_only(|_| reply(429, &[("Retry-After", "2".into()), ("Content-Length", "0".into())], b""));
    let stop = |scene: &Scene| {
        let observer = Impatient::default();
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(150));
                observer.stop.store(true, Ordering::SeqCst);
            });
            let error = scene.client().pull(&reference(), &observer).unwrap_err();
            assert!(matches!(error, Error::Interrupted));
        });
        assert!(start.elapsed() < Duration::from_secs(1));
    };
    stop(&scene);
    let scene = Scene::new();
    let lock = scene.temp.path().join(format!("hub/.locks/models--owner--name/{}.lock", sha256_hex(&scene.bytes)));
    let _held = engraft::files::Lock::acquire(&lock, || Ok(())).unwrap();
    stop(&scene);
}

#[test]
fn a_range_that_is_refused_or_wrong_starts_again() {
    for wrong in [false, true] {
        let scene = Scene::with(weights(300_000), move |bytes, from, _| match from {
            0 => part(bytes, 0),
            _ if wrong => partial(bytes, from - 1, bytes.len()),
            _ => reply(416, &[("Content-Range", "bytes */5".into()), ("Content-Length", "0".into())], b""),
        });
        scene.leave_incomplete(&scene.bytes[..1000]);
        assert_eq!(fs::read(scene.pull().unwrap().weights).unwrap(), scene.bytes);
        let from: Vec<usize> = scene.store.asked().iter().map(Asked::from).collect();
        assert_eq!(from, [1000, 0]);
    }
}

#[test]
fn a_compressed_answer_is_refused() {
    let scene = Scene::with(weights(1000), |bytes, _, _| {
        reply(200, &[("Content-Encoding", "gzip".into()), ("Content-Length", "1000".into())], bytes)
    });
    assert!(scene.refused().contains("another coding"));
}

#[test]
fn a_plain_address_is_verified_by_the_digits_of_its_pin() {
    let bytes = weights(200_000);
    let digits = sha256_hex(&bytes)[..8].to_owned();
    let stored = bytes.clone();
    let scene = Scene::hub_only(move |asked| match asked.from() {
        0 => partial(&stored, 0, 90_000),
        from => part(&stored, from),
    });
    let entry = |digits: &str| {
        known(&format!(
            "file = \"net-{digits}.pth\"\nurl = \"{}/models/net-{digits}.pth\"\nsha256_prefix = \"{digits}\"",
            scene.hub.address
        ))
    };
    let right = entry(&digits);
    assert!(!scene.client().has(&right));
    let mut settings = scene.settings();
    settings.token = Some(Token::new("hf_secret").unwrap());
    settings.endpoint = scene.store.address.clone();
    let local = Hub::new(settings).pull(&right, &Silent).unwrap();
    assert_eq!(local.weights, scene.temp.path().join(format!("torch/net-{digits}.pth")));
    assert_eq!((local.commit.clone(), local.sha256.clone()), (None, sha256_hex(&bytes)));
    assert_eq!(fs::read(&local.weights).unwrap(), bytes);
    assert!(scene.hub.asked().iter().all(|asked| asked.header("authorization").is_none()));
    let requests = scene.hub.asked().len();
    assert_eq!(scene.client().pull(&right, &Silent).unwrap(), local);
    assert_eq!(scene.client().locate(&right).unwrap(), local);
    assert_eq!(scene.hub.asked().len(), requests);
    let error = scene.client().pull(&entry("00000000"), &Silent).unwrap_err().to_string();
    assert!(error.contains("not the expected ones"), "{error}");
    assert!(!scene.temp.path().join("torch/net-00000000.pth").exists());
}

#[test]
fn an_encoder_for_texts_comes_with_its_tokenizer() {
    const FILES: [(&str, &[u8]); 4] = [
        ("model.safetensors", b"weights"),
        ("config.json", br#"{"model_type": "bert"}"#),
        ("tokenizer.json", b"{}"),
        ("1_Pooling/config.json", br#"{"pooling_mode_cls_token": true}"#),
    ];
    let scene = Scene::hub_only(|asked| {
        let file = asked.path.splitn(6, '/').nth(5).unwrap_or_default();
        let Some((_, body)) = FILES.iter().find(|(name, _)| *name == file) else { return missing() };
        let etag = ("ETag", format!("\"{}\"", &sha256_hex(body)[..40]));
        let headers = [etag, ("X-Repo-Commit", COMMIT.into()), ("Content-Length", body.len().to_string())];
        reply(200, &headers, if asked.method == "HEAD" { b"" } else { body })
    });
    let local = scene.pull().unwrap();
    for (name, body) in FILES {
        assert_eq!(fs::read(local.weights.parent().unwrap().join(name)).unwrap(), body, "{name}");
    }
    let pins = scene.client().pulled().unwrap();
    let pin = pins.iter().find(|pin| pin.file == "1_Pooling/config.json").unwrap();
    assert_eq!((pin.commit.as_str(), pin.sha256.as_str()), (COMMIT, sha256_hex(FILES[3].1).as_str()));
    scene.client().check_beside(&reference(), &local).unwrap();
    // Without its tokenizer it is not whole, and is fetched again.
    fs::remove_file(local.weights.with_file_name("tokenizer.json")).unwrap();
    scene.pull().unwrap();
    assert!(local.weights.with_file_name("tokenizer.json").is_file());
    // Other bytes than those that were pulled are noticed.
    let blob = fs::canonicalize(local.weights.with_file_name("tokenizer.json")).unwrap();
    fs::write(blob, b"{\"other\": 1}").unwrap();
    let message = scene.client().check_beside(&reference(), &local).unwrap_err().to_string();
    assert!(message.contains("tokenizer.json"), "{message}");
}
