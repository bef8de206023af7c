//! One request at a time over HTTP(S): exchanges that can be given up at any moment.
//!
//! An exchange runs on a thread of its own and hands over what arrives, so that the one who waits hears of an
//! interruption within a twentieth of a second, also while a connection hangs.

use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::address::Address;
use super::settings::Settings;
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::progress::Observer;

/// How long a wait goes on before the user is heard.
const TICK: Duration = Duration::from_millis(50);

/// `text` as a part of a path: everything but letters, digits and a few signs becomes `%NN`; `/` stays if asked.
pub(super) fn escaped(text: &str, keep_slashes: bool) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || (keep_slashes && byte == b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Get,
}

/// Why an exchange ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// Worth another try, perhaps after the wait that the server asked for.
    Passing { problem: Problem, wait: Option<Duration> },
    /// Not worth another try.
    Final(Error),
}

impl Failure {
    pub(super) fn passing(problem: Problem) -> Self {
        Self::Passing { problem, wait: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

type Headers = Vec<(String, String)>;

enum Event {
    Head(u16, Headers),
    Piece(Vec<u8>),
    End,
    Failed(ureq::Error),
    Broken(std::io::Error),
}

/// The client.
pub(super) struct Client {
    direct: ureq::Agent,
    http: Option<ureq::Agent>,
    https: Option<ureq::Agent>,
    settings: Settings,
}

impl Client {
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        let roots = match &settings.certificates {
            None => RootCerts::WebPki,
            Some(path) => {
                let bytes = files::read_limited(path, 16 << 20).map_err(|source| Error::read(path, &source))?;
                let certificates: Vec<Certificate<'static>> = parse_pem(&bytes)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(certificate),
                        _ => None,
                    })
                    .collect();
                RootCerts::Specific(Arc::new(certificates))
            }
        };
        let tls = TlsConfig::builder().root_certs(roots).build();
        let idle = settings.patience.idle;
        let agent = |proxy: Option<&str>| -> Result<ureq::Agent> {
            let proxy = proxy.map(ureq::Proxy::new).transpose().map_err(|source| {
                Error::Usage(
                    Problem::new("invalid proxy address")
                        .expected("http://HOST:PORT or socks5://HOST:PORT")
                        .found(source)
                        .hint("see HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"),
                )
            })?;
            Ok(ureq::Agent::config_builder()
                .proxy(proxy)
                .tls_config(tls.clone())
                .http_status_as_error(false)
                .max_redirects(0)
                .user_agent(concat!("engraft/", env!("CARGO_PKG_VERSION")))
                .accept_encoding("identity")
                .timeout_resolve(Some(idle))
                .timeout_connect(Some(idle))
                .timeout_per_read(Some(idle))
                .timeout_per_write(Some(idle))
                .max_idle_connections(0)
                .build()
                .into())
        };
        let proxies = &settings.proxies;
        Ok(Self {
            direct: agent(None)?,
            http: proxies.http.as_deref().map(|proxy| agent(Some(proxy))).transpose()?,
            https: proxies.https.as_deref().map(|proxy| agent(Some(proxy))).transpose()?,
            settings: settings.clone(),
        })
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) fn send(
        &self,
        method: Method,
        address: &Address,
        headers: &[(&str, String)],
        observer: &dyn Observer,
    ) -> std::result::Result<Answer, Failure> {
        let agent = match self.settings.proxies.of(address) {
            None => &self.direct,
            Some(_) if address.secure => self.https.as_ref().unwrap_or(&self.direct),
            Some(_) => self.http.as_ref().unwrap_or(&self.direct),
        }
        .clone();
        let mut request = match method {
            Method::Head => agent.head(address.text()),
            Method::Get => agent.get(address.text()),
        };
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let (sender, receiver) = sync_channel(4);
        std::thread::Builder::new()
            .name("exchange".into())
            .spawn(move || converse(request, &sender))
            .map_err(|source| Error::Io(Problem::new("no thread for a download could be started").found(source)))?;
        let mut answer = Answer {
            status: 0,
            headers: Vec::new(),
            receiver,
            address: address.clone(),
            idle: self.settings.patience.idle,
        };
        match answer.next(observer)? {
            Event::Head(status, headers) => {
                answer.status = status;
                answer.headers = headers;
                Ok(answer)
            }
            _ => unreachable!("an exchange begins with a head or a failure"),
        }
    }
}

/// The thread's work. It ends when the other side stops listening.
fn converse(request: ureq::RequestBuilder<ureq::typestate::WithoutBody>, sender: &SyncSender<Event>) {
    let response = match request.call() {
        Ok(response) => response,
        Err(source) => {
            let _ = sender.send(Event::Failed(source));
            return;
        }
    };
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    if sender.send(Event::Head(response.status().as_u16(), headers)).is_err() {
        return;
    }
    let mut body = response.into_body().into_reader();
    loop {
        let mut piece = vec![0; 64 << 10];
        let event = match body.read(&mut piece) {
            Ok(0) => Event::End,
            Ok(length) => {
                piece.truncate(length);
                Event::Piece(piece)
            }
            Err(source) => Event::Broken(source),
        };
        let last = !matches!(event, Event::Piece(_));
        if sender.send(event).is_err() || last {
            return;
        }
    }
}

/// The head of an answer, and its body as it arrives.
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Headers,
    receiver: Receiver<Event>,
    pub(super) address: Address,
    idle: Duration,
}

impl Answer {
    /// A header, by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim())
    }

    /// A header that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.header(name).and_then(|text| text.parse().ok())
    }

    /// The next piece of the body; none at its end.
    pub(super) fn piece(&mut self, observer: &dyn Observer) -> std::result::Result<Option<Vec<u8>>, Failure> {
        match self.next(observer)? {
            Event::Piece(piece) => Ok(Some(piece)),
            _ => Ok(None),
        }
    }

    fn next(&mut self, observer: &dyn Observer) -> std::result::Result<Event, Failure> {
        let start = Instant::now();
        loop {
            observer.check()?;
            match self.receiver.recv_timeout(TICK.min(self.idle)) {
                Ok(Event::Failed(source)) => return Err(failed(&source, &self.address)),
                Ok(Event::Broken(source)) => {
                    return Err(Failure::passing(
                        Problem::new("the connection broke off").found(source).at(self.address.to_string()),
                    ));
                }
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) if start.elapsed() < self.idle => {}
                Err(RecvTimeoutError::Timeout) => {
                    return Err(Failure::passing(
                        Problem::new("the connection went silent")
                            .expected(format_args!("a byte within {} seconds", self.idle.as_secs_f64()))
                            .at(self.address.to_string()),
                    ));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::passing(
                        Problem::new("the connection ended without an answer").at(self.address.to_string()),
                    ));
                }
            }
        }
    }
}

fn failed(source: &ureq::Error, address: &Address) -> Failure {
    let place = address.to_string();
    let lasting =
        |what: &str, hint: &str| Failure::Final(Error::Weights(Problem::new(what).found(source).at(&place).hint(hint)));
    match source {
        ureq::Error::HostNotFound => lasting(
            "the host is not known",
            "is there a network? Behind a proxy set HTTPS_PROXY; for a mirror of the hub set HF_ENDPOINT",
        ),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => lasting(
            "no trusted connection",
            "behind a proxy that signs anew, give its certificate with SSL_CERT_FILE; is the clock right?",
        ),
        ureq::Error::InvalidProxyUrl | ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            lasting("the request cannot be sent", "see HF_ENDPOINT and HTTPS_PROXY")
        }
        ureq::Error::Protocol(_) => lasting("the answer is not HTTP", "see HF_ENDPOINT and HTTPS_PROXY"),
        _ => Failure::passing(Problem::new("the connection failed").found(source).at(place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_path_are_escaped() {
        assert_eq!(escaped("refs/pr/1 ?#%", false), "refs%2Fpr%2F1%20%3F%23%25");
        assert_eq!(escaped("deep/x y.bin", true), "deep/x%20y.bin");
    }
}
