//! The hub's protocol: ask for a file's commit, SHA-256 and size, fetch its bytes over as many tries as it takes,
//! believe them once their SHA-256 is right, and only then give them their name.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::Local;
use super::address::Address;
use super::cache::Repository;
use super::pins::{self, Pin};
use super::reference::{Reference, is_blob_name, is_commit, is_sha256};
use super::settings::{Patience, Settings};
use super::transport::{Answer, Client, Failure, Method, escaped};
use crate::bases::text;
use crate::error::{Error, Problem, Result, shown};
use crate::files::{self, Lock, Partial};
use crate::progress::Observer;

/// The most redirects in a row.
const REDIRECTS: usize = 8;
/// The largest `config.json`.
const CONFIG_LIMIT: u64 = 1 << 20;
/// A connection that moves fewer bytes than this in the time of idleness is as good as dead.
const CRAWL: u64 = 1 << 10;

type Tried<T> = std::result::Result<T, Failure>;

/// Fetches a base that is not here.
pub(super) fn pull(settings: &Settings, reference: &Reference, observer: &dyn Observer) -> Result<Local> {
    let download = Download {
        settings,
        client: Client::new(settings)?,
        endpoint: address(&settings.endpoint)?,
        reference,
        pins: pins::read(&settings.cache)?,
        observer,
    };
    match reference.repository() {
        Some(name) => download.pull_repository(name),
        None => download.pull_address(),
    }
}

struct Download<'a> {
    settings: &'a Settings,
    client: Client,
    endpoint: Address,
    reference: &'a Reference,
    pins: Vec<Pin>,
    observer: &'a dyn Observer,
}

/// What the hub says of a file before its bytes.
#[derive(Debug, Default)]
struct Facts {
    commit: Option<String>,
    linked_etag: Option<String>,
    etag: Option<String>,
    size: Option<u64>,
}

impl Facts {
    fn sha256(&self) -> Option<&str> {
        self.linked_etag.as_deref().filter(|etag| is_sha256(etag))
    }
}

/// A file that is about to be fetched.
struct Wanted<'a> {
    /// For messages.
    name: &'a str,
    address: Address,
    incomplete: PathBuf,
    size: Option<u64>,
    limit: u64,
}

impl Download<'_> {
    fn pull_repository(&self, name: &str) -> Result<Local> {
        let revision = self.reference.revision();
        let repository = Repository::new(&self.settings.cache, name);
        for file in self.reference.files() {
            let start = self.resolve(name, revision, file)?;
            let Some(facts) = self.facts(&start)? else { continue };
            let place = start.to_string();
            let not_the_hub = |what: &str| {
                Error::Weights(
                    Problem::new("the answer is not the hub's")
                        .expected(what)
                        .at(&place)
                        .hint("is HF_ENDPOINT a hub? Does a proxy answer in its place?"),
                )
            };
            let commit = facts.commit.as_deref().ok_or_else(|| not_the_hub("the header X-Repo-Commit"))?;
            let etag = facts.linked_etag.as_deref().or(facts.etag.as_deref());
            let etag = etag.ok_or_else(|| not_the_hub("the header X-Linked-Etag or ETag"))?;
            if is_commit(revision) && commit != revision {
                return Err(not_the_hub(&format!("commit {revision}, not {commit}")));
            }
            if let Some(sha256) = facts.sha256() {
                self.judge(name, file, commit, None, sha256)?;
            }
            let weights = self.blob(&repository, name, file, commit, etag, &facts)?;
            if let Some(before) = repository.commit_of(revision).filter(|before| before != commit) {
                self.observer.say(&format!("{name}: {revision} has moved from {before} to {commit}"));
            }
            repository.set_commit(revision, commit)?;
            let pin = Pin {
                repo: name.to_owned(),
                revision: revision.to_owned(),
                file: file.to_owned(),
                commit: commit.to_owned(),
                sha256: weights.1.clone(),
                size: weights.2,
            };
            pins::add(&self.settings.cache, pin, self.observer)?;
            let config = self.config(&repository, name, commit)?;
            if config.as_deref().is_some_and(text::is_encoder_config) {
                self.beside(&repository, name, commit)?;
            }
            return Ok(Local { weights: weights.0, commit: Some(commit.to_owned()), sha256: weights.1, config });
        }
        Err(Error::Weights(
            Problem::new("the repository has no such file")
                .expected(self.reference.file_names())
                .found(format_args!("nothing of that name at revision {revision}"))
                .at(name)
                .hint("name the file: hf://owner/name/FILE (safetensors or a PyTorch state dict)"),
        ))
    }

    /// A blob, fetched unless it is here, and linked into its snapshot: path, SHA-256, size.
    fn blob(
        &self,
        repository: &Repository,
        name: &str,
        file: &str,
        commit: &str,
        etag: &str,
        facts: &Facts,
    ) -> Result<(PathBuf, String, u64)> {
        let blob = repository.blob(etag);
        let _lock = self.lock(&repository.lock(etag), file)?;
        let judge = |sha256: &str| self.judge(name, file, commit, facts.sha256(), sha256);
        // Another pull, or Python, may have brought it.
        if blob.is_file() {
            let sha256 = files::sha256_of_file(&blob, |_| self.observer.check())?;
            let size = blob.metadata().map_err(|source| Error::read(&blob, &source))?.len();
            if facts.size.is_none_or(|expected| expected == size) && judge(&sha256).is_ok() {
                return Ok((repository.link(commit, file, etag)?, sha256, size));
            }
            self.observer.say(&format!("{} is damaged: fetching it again", shown(&blob)));
        }
        let mut incomplete = blob.clone().into_os_string();
        incomplete.push(".incomplete");
        let wanted = Wanted {
            name: file,
            // The commit, not the branch: a branch may move between two tries.
            address: self.resolve(name, commit, file)?,
            incomplete: incomplete.into(),
            size: facts.size.or(self.reference.size()),
            limit: self.settings.limit,
        };
        let (partial, sha256) = self.fetch(&wanted, &judge)?;
        let size = partial.length();
        partial.finish(&blob)?;
        Ok((repository.link(commit, file, etag)?, sha256, size))
    }

    /// The repository's `config.json`, which is of use but need not be there.
    fn config(&self, repository: &Repository, name: &str, commit: &str) -> Result<Option<PathBuf>> {
        let path = repository.snapshot(commit, "config.json");
        if path.is_file() {
            return Ok(Some(path));
        }
        let fetched = || -> Result<Option<PathBuf>> {
            let address = self.resolve(name, commit, "config.json")?;
            let Some(facts) = self.facts(&address)? else { return Ok(None) };
            let Some(etag) = facts.linked_etag.as_deref().or(facts.etag.as_deref()) else { return Ok(None) };
            let blob = repository.blob(etag);
            let _lock = self.lock(&repository.lock(etag), "config.json")?;
            if !blob.is_file() {
                let mut incomplete = blob.clone().into_os_string();
                incomplete.push(".incomplete");
                let wanted = Wanted {
                    name: "config.json",
                    address,
                    incomplete: incomplete.into(),
                    size: facts.size,
                    limit: CONFIG_LIMIT,
                };
                let judge = |sha256: &str| match facts.sha256() {
                    Some(expected) if expected != sha256 => Err(wrong_bytes(name, "config.json", expected, sha256)),
                    _ => Ok(()),
                };
                self.fetch(&wanted, &judge)?.0.finish(&blob)?;
            }
            repository.link(commit, "config.json", etag).map(Some)
        };
        match fetched() {
            Err(Error::Interrupted) => Err(Error::Interrupted),
            Err(error) => {
                self.observer.say(&format!("{name}: config.json could not be had, going on without: {error}"));
                Ok(None)
            }
            there => there,
        }
    }

    /// What an encoder for texts needs beside its weights, as far as the repository has it: verified and recorded as
    /// these are.
    fn beside(&self, repository: &Repository, name: &str, commit: &str) -> Result<()> {
        for file in text::FILES_BESIDE_WEIGHTS {
            if repository.snapshot(commit, file).is_file() {
                continue;
            }
            let Some(facts) = self.facts(&self.resolve(name, commit, file)?)? else { continue };
            let Some(etag) = facts.linked_etag.as_deref().or(facts.etag.as_deref()) else { continue };
            let (_, sha256, size) = self.blob(repository, name, file, commit, etag, &facts)?;
            let pin = Pin {
                repo: name.to_owned(),
                revision: self.reference.revision().to_owned(),
                file: file.to_owned(),
                commit: commit.to_owned(),
                sha256,
                size,
            };
            pins::add(&self.settings.cache, pin, self.observer)?;
        }
        Ok(())
    }

    /// A file from a plain address, into PyTorch's folder of checkpoints.
    fn pull_address(&self) -> Result<Local> {
        let entry = self.reference.entry().expect("only entries of the registry have an address");
        let url = entry.url.as_deref().expect("an entry without repository has an address");
        let target = self.settings.checkpoints.join(&entry.file);
        let hidden = |ending: &str| self.settings.checkpoints.join(format!(".{}.{ending}", entry.file));
        let _lock = self.lock(&hidden("lock"), &entry.file)?;
        let judge = |sha256: &str| self.judge(url, &entry.file, "", None, sha256);
        if target.is_file() {
            let sha256 = files::sha256_of_file(&target, |_| self.observer.check())?;
            if judge(&sha256).is_ok() {
                return Ok(Local { weights: target, commit: None, sha256, config: None });
            }
        }
        let wanted = Wanted {
            name: &entry.file,
            address: address(url)?,
            incomplete: hidden("incomplete"),
            size: self.reference.size(),
            limit: self.settings.limit,
        };
        let (partial, sha256) = self.fetch(&wanted, &judge)?;
        let pin = Pin {
            repo: url.to_owned(),
            revision: String::new(),
            file: entry.file.clone(),
            commit: String::new(),
            sha256: sha256.clone(),
            size: partial.length(),
        };
        partial.finish(&target)?;
        pins::add(&self.settings.cache, pin, self.observer)?;
        Ok(Local { weights: target, commit: None, sha256, config: None })
    }

    /// Whether a SHA-256 is the right one: by the registry, else by the hub; and the same as the first time.
    fn judge(&self, repo: &str, file: &str, commit: &str, linked: Option<&str>, sha256: &str) -> Result<()> {
        match (self.reference.pin(), linked) {
            (Some(pin), _) if !pin.accepts(sha256) => return Err(wrong_bytes(repo, file, pin.digits, sha256)),
            (None, Some(linked)) if linked != sha256 => return Err(wrong_bytes(repo, file, linked, sha256)),
            _ => {}
        }
        pins::check(&self.pins, repo, file, commit, sha256)
    }

    fn lock(&self, path: &Path, file: &str) -> Result<Lock> {
        let mut told = false;
        Lock::acquire(path, || {
            if !told {
                self.observer.say(&format!("waiting for another program that fetches {file}"));
                told = true;
            }
            self.observer.check()
        })
    }

    /// The address of a file of a repository.
    fn resolve(&self, name: &str, revision: &str, file: &str) -> Result<Address> {
        let (revision, file) = (escaped(revision, false), escaped(file, true));
        address(&format!("{}/{name}/resolve/{revision}/{file}", self.settings.endpoint))
    }

    /// Commit, SHA-256 and size of a file; none if the repository has no such file.
    fn facts(&self, start: &Address) -> Result<Option<Facts>> {
        let mut tries = Tries::new(&self.settings.patience, self.observer);
        loop {
            match self.ask(start) {
                Ok(facts) => return Ok(facts),
                Err(failure) => tries.failed(failure, false)?,
            }
        }
    }

    fn ask(&self, start: &Address) -> Tried<Option<Facts>> {
        let mut facts = Facts::default();
        let mut way = Way::new(start);
        loop {
            let answer = self.client.send(Method::Head, &way.address, &self.headers(&way), self.observer)?;
            let strange = |what: &str| Failure::Final(strange_header(what, &way.address));
            if let Some(commit) = answer.header("x-repo-commit").filter(|_| facts.commit.is_none()) {
                facts.commit = Some(commit.to_owned()).filter(|commit| is_commit(commit));
                facts.commit.as_ref().ok_or_else(|| strange("X-Repo-Commit"))?;
            }
            if let Some(etag) = answer.header("x-linked-etag").filter(|_| facts.linked_etag.is_none()) {
                facts.linked_etag = Some(bare(etag).to_owned()).filter(|etag| is_blob_name(etag));
                facts.linked_etag.as_ref().ok_or_else(|| strange("X-Linked-Etag"))?;
            }
            facts.size = facts.size.or(answer.number("x-linked-size"));
            if is_redirect(answer.status) {
                let known = facts.commit.is_some() && facts.linked_etag.is_some();
                let here = way.address.clone();
                way.follow(&answer)?;
                // The hub has said everything; the other server is asked for the bytes only.
                if known && !way.address.same_server(&here) {
                    return Ok(Some(facts));
                }
                continue;
            }
            return match answer.status {
                200..300 => {
                    facts.size = facts.size.or(answer.number("content-length"));
                    facts.etag = answer.header("etag").map(|etag| bare(etag).to_owned());
                    if facts.etag.as_deref().is_some_and(|etag| !is_blob_name(etag)) {
                        return Err(strange("ETag"));
                    }
                    Ok(Some(facts))
                }
                404 if answer.header("x-error-code") == Some("EntryNotFound") => Ok(None),
                _ => Err(self.refusal(&answer, &way)),
            };
        }
    }

    /// The token, for the hub itself and for nobody else.
    fn headers(&self, way: &Way) -> Vec<(&'static str, String)> {
        match &self.settings.token {
            Some(token) if self.may_see_token(way) => vec![("authorization", token.header())],
            _ => Vec::new(),
        }
    }

    fn may_see_token(&self, way: &Way) -> bool {
        !way.left && way.address.same_server(&self.endpoint) && way.address.is_private()
    }

    /// Fetches a file, in as many tries as it takes, until `judge` accepts its SHA-256.
    fn fetch(&self, wanted: &Wanted<'_>, judge: &dyn Fn(&str) -> Result<()>) -> Result<(Partial, String)> {
        let mut growing = Growing::open(&wanted.incomplete, self.observer)?;
        loop {
            self.observer.begin(&format!("fetching {}", wanted.name), wanted.size.unwrap_or(0), "bytes");
            self.observer.advance(growing.partial.length());
            let received = self.receive(wanted, &mut growing);
            self.observer.end();
            if let Err(error) = received {
                let kept = growing.partial.length();
                if kept == 0 {
                    let _ = growing.partial.discard();
                } else if matches!(error, Error::Interrupted) {
                    self.observer
                        .say(&format!("{kept} bytes of {} are kept; the same command goes on from there", wanted.name));
                }
                return Err(error);
            }
            let sha256 = growing.sha256();
            match judge(&sha256) {
                Ok(()) => return Ok((growing.partial, sha256)),
                Err(_) if growing.old > 0 => {
                    self.observer.say(&format!("what was kept of {} is damaged: starting again", wanted.name));
                    growing.restart()?;
                }
                Err(error) => {
                    growing.partial.discard()?;
                    return Err(error);
                }
            }
        }
    }

    fn receive(&self, wanted: &Wanted<'_>, growing: &mut Growing) -> Result<()> {
        let mut tries = Tries::new(&self.settings.patience, self.observer);
        loop {
            let before = growing.partial.length();
            match self.receive_once(wanted, growing) {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    let gained = growing.partial.length().saturating_sub(before);
                    tries.failed(failure, gained >= self.settings.patience.progress)?;
                }
            }
        }
    }

    fn receive_once(&self, wanted: &Wanted<'_>, growing: &mut Growing) -> Tried<()> {
        match wanted.size {
            Some(size) if growing.partial.length() == size => return Ok(()),
            Some(size) if growing.partial.length() > size => growing.restart()?,
            _ => {}
        }
        let too_large = |bytes: u64| {
            Failure::Final(Error::Weights(
                Problem::new("the file is too large")
                    .expected(format_args!("at most {} bytes", wanted.limit))
                    .found(bytes)
                    .at(wanted.address.to_string()),
            ))
        };
        if let Some(size) = wanted.size.filter(|size| *size > wanted.limit) {
            return Err(too_large(size));
        }
        let (mut answer, way) = self.get(wanted, growing.partial.length())?;
        let have = growing.partial.length();
        match answer.status {
            200 => {
                // The whole file, whatever was asked for.
                if have > 0 {
                    growing.restart()?;
                }
            }
            206 => {
                let (first, total) = content_range(&answer).unwrap_or((u64::MAX, None));
                let other = total.zip(wanted.size).is_some_and(|(total, size)| total != size);
                if first != have || other {
                    growing.restart()?;
                    return Err(Failure::passing(
                        Problem::new("the server sent another part than asked for")
                            .expected(format_args!("bytes from {have} on"))
                            .found(answer.header("content-range").unwrap_or("no Content-Range"))
                            .at(wanted.address.to_string()),
                    ));
                }
            }
            416 => {
                if have > 0 && content_range(&answer).is_some_and(|(_, total)| total == Some(have)) {
                    return Ok(());
                }
                growing.restart()?;
                return Err(Failure::passing(
                    Problem::new("the server has no such part of the file")
                        .found(format_args!("status 416 for bytes from {have} on"))
                        .at(wanted.address.to_string()),
                ));
            }
            _ => return Err(self.refusal(&answer, &way)),
        }
        if let Some(coding) = answer.header("content-encoding").filter(|coding| *coding != "identity") {
            return Err(Failure::Final(Error::Weights(
                Problem::new("the server sent the file in another coding")
                    .expected("the bytes as they are")
                    .found(coding)
                    .at(wanted.address.to_string()),
            )));
        }
        let have = growing.partial.length();
        let declared = answer.number("content-length").map(|length| length.saturating_add(have));
        let most = wanted.size.unwrap_or(wanted.limit);
        let longer = |growing: &mut Growing, found: u64| -> Failure {
            match (growing.restart(), wanted.size) {
                (Err(error), _) => Failure::Final(error),
                (Ok(()), None) => too_large(found),
                (Ok(()), Some(size)) => Failure::Final(Error::Weights(
                    Problem::new("the file is longer than the hub said")
                        .expected(format_args!("{size} bytes"))
                        .found(format_args!("{found} or more"))
                        .at(wanted.address.to_string()),
                )),
            }
        };
        if let Some(declared) = declared.filter(|declared| *declared > most) {
            return Err(longer(growing, declared));
        }
        let rest = wanted.size.or(declared).unwrap_or(0).saturating_sub(have);
        if let Some(free) = files::free_bytes(&wanted.incomplete).filter(|free| *free < rest) {
            return Err(Failure::Final(Error::Output(
                Problem::new("no space left for the download")
                    .expected(format_args!("{rest} bytes"))
                    .found(format_args!("{free} free"))
                    .at(&wanted.incomplete)
                    .hint("free some space, or choose another cache with HF_HUB_CACHE"),
            )));
        }
        let idle = self.settings.patience.idle;
        let (mut window, mut moved) = (Instant::now(), 0);
        while let Some(piece) = answer.piece(self.observer)? {
            let length = growing.partial.length() + piece.len() as u64;
            if length > most {
                return Err(longer(growing, length));
            }
            growing.append(&piece)?;
            moved += piece.len() as u64;
            if window.elapsed() > idle {
                if moved < CRAWL.min(self.settings.patience.progress) {
                    return Err(Failure::passing(
                        Problem::new("the connection crawls")
                            .found(format_args!("{moved} bytes in {} seconds", idle.as_secs_f64()))
                            .at(wanted.address.to_string()),
                    ));
                }
                (window, moved) = (Instant::now(), 0);
            }
        }
        let length = growing.partial.length();
        match wanted.size.or(declared) {
            Some(expected) if length < expected => Err(Failure::passing(
                Problem::new("the download ended early")
                    .expected(format_args!("{expected} bytes"))
                    .found(length)
                    .at(wanted.address.to_string()),
            )),
            _ => Ok(()),
        }
    }

    /// Asks for the bytes from `have` on, following redirects.
    fn get(&self, wanted: &Wanted<'_>, have: u64) -> Tried<(Answer, Way)> {
        let mut way = Way::new(&wanted.address);
        loop {
            let mut headers = self.headers(&way);
            if have > 0 {
                headers.push(("range", format!("bytes={have}-")));
            }
            let answer = self.client.send(Method::Get, &way.address, &headers, self.observer)?;
            if !is_redirect(answer.status) {
                return Ok((answer, way));
            }
            way.follow(&answer)?;
        }
    }

    /// What an answer that is not a file means, and what to do.
    fn refusal(&self, answer: &Answer, way: &Way) -> Failure {
        let status = answer.status;
        let code = answer.header("x-error-code").unwrap_or("");
        let said: String = answer
            .header("x-error-message")
            .unwrap_or("")
            .chars()
            .filter(|letter| !letter.is_control())
            .take(300)
            .collect();
        let found = if said.is_empty() { format!("status {status}") } else { format!("status {status}: {said}") };
        let problem = |what: &str| Problem::new(what).found(&found).at(way.address.to_string());
        let lasting = |what: &str, hint: String| Failure::Final(Error::Weights(problem(what).hint(hint)));
        let name = self.reference.repository().unwrap_or("the file");
        let endpoint = &self.settings.endpoint;
        let token = match &self.settings.token {
            None => format!("make a token at {endpoint}/settings/tokens and set HF_TOKEN to it"),
            Some(_) if !self.endpoint.is_private() => {
                "the token was not sent, because HF_ENDPOINT is not encrypted: use https".into()
            }
            Some(_) => {
                "is the token (HF_TOKEN, HF_TOKEN_PATH or $HF_HOME/token) still valid, and may it read this?".into()
            }
        };
        match (status, code) {
            (401 | 403, "GatedRepo") => lasting(
                "the repository is gated: its owner grants access",
                format!("ask for access at {endpoint}/{name}, signed in; then {token}"),
            ),
            (401 | 404, "RepoNotFound") | (401, _) => lasting(
                "the hub knows no such repository, or does not show it to everybody",
                format!("is {name} spelt as on the hub? If it is private or gated, {token}"),
            ),
            (403, _) => lasting("the hub denies access", token),
            (404, "RevisionNotFound") => {
                lasting("the repository has no such revision", format!("see {endpoint}/{name}/commits/main"))
            }
            (404, "EntryNotFound") => {
                lasting("the repository has no such file", format!("see {endpoint}/{name}/tree/main"))
            }
            (404 | 410, _) => lasting("there is no such file", "is the address right? See HF_ENDPOINT".into()),
            (429, _) => Failure::Passing {
                problem: problem("the hub asks for a pause: too many requests")
                    .hint("wait a while and give the command again; with a token (HF_TOKEN) more requests are allowed"),
                wait: asked_wait(answer),
            },
            (408 | 500 | 502..=504, _) => Failure::Passing {
                problem: problem("the server has a problem").hint("give the command again later"),
                wait: asked_wait(answer),
            },
            _ => lasting("the server's answer is of no use", "is HF_ENDPOINT a hub?".into()),
        }
    }
}

/// A request's way over redirects.
struct Way {
    address: Address,
    steps: usize,
    /// Whether it has been to another server: the token is not sent any more, even if it comes back.
    left: bool,
}

impl Way {
    fn new(start: &Address) -> Self {
        Self { address: start.clone(), steps: 0, left: false }
    }

    fn follow(&mut self, answer: &Answer) -> Tried<()> {
        let refuse = |what: &str, found: String| {
            Failure::Final(Error::Weights(Problem::new(what).found(found).at(self.address.to_string())))
        };
        let Some(location) = answer.header("location") else {
            return Err(refuse("the server redirects to nowhere", format!("status {}", answer.status)));
        };
        let next = self.address.join(location).map_err(|found| refuse("the redirect is refused", found))?;
        self.steps += 1;
        if self.steps > REDIRECTS {
            return Err(refuse("the server redirects in circles", format!("{} redirects", self.steps)));
        }
        self.left |= !next.same_server(&self.address);
        self.address = next;
        Ok(())
    }
}

/// The incomplete file, and the SHA-256 of what it holds.
struct Growing<'a> {
    partial: Partial,
    hasher: Sha256,
    /// Bytes that an earlier run left.
    old: u64,
    /// Bytes that the observer has heard of.
    told: u64,
    observer: &'a dyn Observer,
}

impl<'a> Growing<'a> {
    fn open(path: &Path, observer: &'a dyn Observer) -> Result<Self> {
        let partial = Partial::open(path)?;
        let mut hasher = Sha256::new();
        let mut old = 0;
        partial.read(|piece| {
            hasher.update(piece);
            old += piece.len() as u64;
            observer.check()
        })?;
        Ok(Self { told: old, old, partial, hasher, observer })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.partial.append(bytes)?;
        self.hasher.update(bytes);
        let new = self.partial.length().saturating_sub(self.told);
        self.told += new;
        self.observer.advance(new);
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.partial.clear()?;
        self.hasher = Sha256::new();
        self.old = 0;
        Ok(())
    }

    fn sha256(&self) -> String {
        files::hex(&self.hasher.clone().finalize())
    }
}

/// Counts failures and waits between tries. The waits are decided by the count alone.
struct Tries<'a> {
    patience: &'a Patience,
    failures: u32,
    observer: &'a dyn Observer,
}

impl<'a> Tries<'a> {
    fn new(patience: &'a Patience, observer: &'a dyn Observer) -> Self {
        Self { patience, failures: 0, observer }
    }

    /// Waits before the next try, or gives up.
    fn failed(&mut self, failure: Failure, progress: bool) -> Result<()> {
        let (problem, wait) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing { problem, wait } => (problem, wait),
        };
        self.failures = if progress { 1 } else { self.failures + 1 };
        if self.failures >= self.patience.tries || wait.is_some_and(|wait| wait > self.patience.longest_pause) {
            return Err(Error::Weights(problem));
        }
        let pause = wait.unwrap_or_else(|| pause(self.patience, self.failures));
        self.observer.say(&format!("{}; next try in {:.1} s", problem.what(), pause.as_secs_f64()));
        let start = Instant::now();
        while start.elapsed() < pause {
            self.observer.check()?;
            std::thread::sleep(Duration::from_millis(20).min(pause - start.elapsed().min(pause)));
        }
        Ok(())
    }
}

/// Doubles with each failure. A fixed scatter of up to a quarter keeps files of one command from asking in step.
fn pause(patience: &Patience, failures: u32) -> Duration {
    let doubled = patience.pause.saturating_mul(1 << (failures - 1).min(16));
    let scatter = doubled / 16 * ((failures * 5) % 4);
    (doubled + scatter).min(patience.longest_pause)
}

/// The wait that an answer asks for: `Retry-After` in seconds, or the hub's `RateLimit: ...;t=SECONDS`.
fn asked_wait(answer: &Answer) -> Option<Duration> {
    let limit = || {
        let rest = answer.header("ratelimit")?.split(';').find_map(|part| part.trim().strip_prefix("t="))?;
        rest.trim_matches('"').parse().ok()
    };
    answer.number("retry-after").or_else(limit).map(Duration::from_secs)
}

/// First byte and total of `Content-Range: bytes 5-9/10` (or `bytes */10`, whose first byte counts as 0).
fn content_range(answer: &Answer) -> Option<(u64, Option<u64>)> {
    let (range, total) = answer.header("content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    let first = if range == "*" { 0 } else { range.split_once('-')?.0.trim().parse().ok()? };
    Some((first, total.trim().parse().ok()))
}

/// An etag without quotes and weakness.
fn bare(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn address(text: &str) -> Result<Address> {
    Address::parse(text).map_err(|found| Error::Usage(Problem::new("the address cannot be used").found(found).at(text)))
}

fn strange_header(name: &str, address: &Address) -> Error {
    Error::Weights(
        Problem::new(format_args!("invalid header {name}"))
            .expected("letters and digits of a commit or a checksum")
            .at(address.to_string())
            .hint("is HF_ENDPOINT a hub?"),
    )
}

fn wrong_bytes(repo: &str, file: &str, expected: &str, found: &str) -> Error {
    Error::Weights(
        Problem::new("the bytes are not the expected ones")
            .expected(format_args!("SHA-256 {expected}{}", if expected.len() < 64 { "..." } else { "" }))
            .found(found)
            .at(format!("{repo}/{file}"))
            .hint("nothing was kept: try again, and if it stays so, ask the owner whether the file was replaced"),
    )
}
