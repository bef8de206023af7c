//! Where the cache is, whom to ask and how long to wait. The variables are those of `huggingface_hub` and of curl.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::Address;
use crate::error::{Error, Problem, Result};
use crate::files;

/// A secret that is sent to the hub and to nobody else, and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// From its text. Spaces around it are dropped; other text than a header can carry is refused.
    ///
    /// # Errors
    /// [`Error::Usage`]
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Usage(
                Problem::new("invalid hub token")
                    .expected("letters, digits and signs, without spaces")
                    .hint("see HF_TOKEN, HF_TOKEN_PATH and $HF_HOME/token"),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The way out of a network that has no direct one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://`.
    pub(crate) http: Option<String>,
    /// For `https://`.
    pub(crate) https: Option<String>,
    /// Hosts that are asked directly: names (and what ends in `.NAME`), addresses, `name:port`, or `*`.
    pub(crate) except: Vec<String>,
}

impl Proxies {
    /// The proxy for an address.
    pub(super) fn of(&self, address: &Address) -> Option<&str> {
        let excepted = self.except.iter().any(|entry| {
            let entry = entry.to_ascii_lowercase();
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
                _ => (entry.as_str(), None),
            };
            let name = name.trim_start_matches('*').trim_start_matches('.').trim_matches(['[', ']']);
            let host = address.host.trim_matches(['[', ']']);
            entry == "*"
                || (!name.is_empty()
                    && port.is_none_or(|port| port == address.port)
                    && (host == name || host.strip_suffix(name).is_some_and(|front| front.ends_with('.'))))
        });
        if excepted {
            return None;
        }
        if address.secure { self.https.as_deref() } else { self.http.as_deref() }
    }
}

/// How long to wait and how often to try.
#[derive(Debug, Clone, PartialEq)]
pub struct Patience {
    /// Without a byte for so long, a connection counts as dead.
    pub idle: Duration,
    /// Tries in a row without progress.
    pub tries: u32,
    /// Bytes that make a try count as progress.
    pub progress: u64,
    /// The pause after the first failure; it doubles with each further one.
    pub pause: Duration,
    /// The longest pause, also of those that the hub asks for.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            tries: 6,
            progress: 1 << 20,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(120),
        }
    }
}

/// Everything that decides how the hub is used.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The hub's address.
    pub endpoint: String,
    /// The cache that is shared with Python's `huggingface_hub`.
    pub cache: PathBuf,
    /// The folder of checkpoints that is shared with PyTorch, for files from plain addresses.
    pub checkpoints: PathBuf,
    /// Who asks.
    pub token: Option<Token>,
    /// Whether to stay off the network.
    pub offline: bool,
    /// The way out.
    pub proxies: Proxies,
    /// A file of certificates (PEM) to trust in place of those in the program.
    pub certificates: Option<PathBuf>,
    /// The largest file that is taken, in bytes.
    pub limit: u64,
    /// How long to wait.
    pub patience: Patience,
}

impl Settings {
    /// The settings that a set of variables makes, `lookup` being `std::env::var` in a program.
    ///
    /// # Errors
    /// [`Error::Usage`] for a variable that is invalid.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let either = |name: &str| get(name).or_else(|| get(&name.to_ascii_lowercase()));
        let is_set = |name: &str| {
            get(name)
                .is_some_and(|value| matches!(value.trim().to_ascii_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
        };
        let user = get("HOME").map(PathBuf::from);
        let path = |text: String| match (text.strip_prefix("~/"), &user) {
            (Some(rest), Some(user)) => user.join(rest),
            _ => PathBuf::from(text),
        };
        let caches = get("XDG_CACHE_HOME").map(path).or_else(|| user.as_ref().map(|user| user.join(".cache")));
        let beneath = |name: &str| caches.as_ref().map(|caches| caches.join(name));
        let nowhere = || {
            Error::Usage(
                Problem::new("there is no place for downloaded bases")
                    .expected("HF_HUB_CACHE, HF_HOME or HOME")
                    .found("none of them is set"),
            )
        };
        let home = get("HF_HOME").map(path).or_else(|| beneath("huggingface"));
        let cache = get("HF_HUB_CACHE")
            .or_else(|| get("HUGGINGFACE_HUB_CACHE"))
            .map(path)
            .or_else(|| home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(nowhere)?;
        let checkpoints = get("TORCH_HOME")
            .map(path)
            .or_else(|| beneath("torch"))
            .map_or_else(|| cache.join("checkpoints"), |torch| torch.join("hub").join("checkpoints"));
        let endpoint = get("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
        let endpoint = endpoint.trim().trim_end_matches('/').to_owned();
        match Address::parse(&endpoint) {
            Ok(address) if !address.target.contains(['?', '#']) => {}
            _ => {
                return Err(Error::Usage(
                    Problem::new("HF_ENDPOINT is not an address of a hub")
                        .expected("https://HOST or http://HOST, with a port or a path")
                        .found(&endpoint),
                ));
            }
        }
        let token = if is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            None
        } else {
            let token_file = get("HF_TOKEN_PATH").map(path).or_else(|| home.map(|home| home.join("token")));
            match get("HF_TOKEN").or_else(|| get("HUGGING_FACE_HUB_TOKEN")) {
                Some(text) => Some(Token::new(&text)?),
                None => token_file.map(|file| token_in(&file)).transpose()?.flatten(),
            }
        };
        let all = either("ALL_PROXY");
        let proxies = Proxies {
            http: either("HTTP_PROXY").or_else(|| all.clone()),
            https: either("HTTPS_PROXY").or(all),
            except: either("NO_PROXY")
                .map(|list| list.split([',', ' ']).map(str::to_owned).filter(|entry| !entry.is_empty()).collect())
                .unwrap_or_default(),
        };
        Ok(Self {
            endpoint,
            cache,
            checkpoints,
            token,
            offline: is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE"),
            proxies,
            certificates: get("SSL_CERT_FILE").or_else(|| get("REQUESTS_CA_BUNDLE")).map(path),
            limit: engraft_weights::FILE_LIMIT,
            patience: Patience::default(),
        })
    }
}

/// The token in a file; a file that is missing or empty has none.
fn token_in(file: &Path) -> Result<Option<Token>> {
    match files::read_limited(file, 1 << 16) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            if text.trim().is_empty() { Ok(None) } else { Token::new(&text).map(Some) }
        }
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::read(file, &source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_lookup(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |pairs: &[(&str, &str)]| settings(pairs).unwrap().cache;
        assert_eq!(cache(&[("HOME", "/u")]), Path::new("/u/.cache/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[("HOME", "/u"), ("HF_HOME", "~/hf")]), Path::new("/u/hf/hub"));
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HF_HUB_CACHE", "/c")]), Path::new("/c"));
        assert_eq!(cache(&[("HF_HOME", ""), ("HOME", "/u")]), Path::new("/u/.cache/huggingface/hub"));
        assert!(settings(&[]).is_err());
        let torch = settings(&[("HOME", "/u")]).unwrap().checkpoints;
        assert_eq!(torch, Path::new("/u/.cache/torch/hub/checkpoints"));
    }

    #[test]
    fn the_token_is_found_and_never_shown() {
        let temp = tempfile::tempdir().unwrap();
        let home = temp.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", home)]).unwrap().token, None);
        std::fs::write(temp.path().join("token"), "hf_file\n").unwrap();
        std::fs::write(temp.path().join("other"), "hf_other").unwrap();
        let other = temp.path().join("other");
        let token = |pairs: &[(&str, &str)]| settings(pairs).unwrap().token.map(|token| token.header());
        assert_eq!(token(&[("HF_HOME", home)]).unwrap(), "Bearer hf_file");
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN_PATH", other.to_str().unwrap())]).unwrap(), "Bearer hf_other");
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " hf_env ")]).unwrap(), "Bearer hf_env");
        assert_eq!(token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        assert!(settings(&[("HF_HOME", home), ("HF_TOKEN", "a\nb: c")]).is_err());
        assert!(!format!("{:?}", settings(&[("HF_HOME", home)]).unwrap()).contains("hf_file"));
    }

    #[test]
    fn proxies_follow_scheme_and_exceptions() {
        let proxies = settings(&[
            ("HOME", "/u"),
            ("https_proxy", "http://secure:1"),
            ("ALL_PROXY", "socks5://all:2"),
            ("NO_PROXY", "localhost, .inner.org,10.0.0.1,other:8080"),
        ])
        .unwrap()
        .proxies;
        let of = |text: &str| proxies.of(&Address::parse(text).unwrap());
        assert_eq!(of("https://hub.org/x"), Some("http://secure:1"));
        assert_eq!(of("http://hub.org/x"), Some("socks5://all:2"));
        for direct in
            ["http://localhost:99", "https://a.inner.org", "https://inner.org", "http://10.0.0.1", "http://other:8080"]
        {
            assert_eq!(of(direct), None, "{direct}");
        }
        for proxied in ["https://notinner.org", "http://other:80", "http://110.0.0.1"] {
            assert!(of(proxied).is_some(), "{proxied}");
        }
        let everything = Proxies { http: Some("x".into()), https: None, except: vec!["*".into()] };
        assert_eq!(everything.of(&Address::parse("http://hub.org").unwrap()), None);
    }

    #[test]
    fn offline_and_endpoint_are_read() {
        let settings_of = |name, value| settings(&[("HOME", "/u"), (name, value)]);
        assert!(settings_of("HF_HUB_OFFLINE", "1").unwrap().offline);
        assert!(settings_of("HF_HUB_OFFLINE", "true").unwrap().offline);
        assert!(!settings_of("HF_HUB_OFFLINE", "0").unwrap().offline);
        assert_eq!(settings_of("HF_ENDPOINT", "https://mirror.org/").unwrap().endpoint, "https://mirror.org");
        for bad in
            ["mirror.org", "ftp://mirror.org", "file:///etc", "https://", "https://u:p@mirror.org", "https://m/?q"]
        {
            assert!(settings_of("HF_ENDPOINT", bad).is_err(), "{bad}");
        }
    }
}
