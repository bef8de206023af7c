//! Addresses of files on the web.

use std::fmt;

use ureq::http::Uri;

/// The longest address that is followed.
const LONGEST_ADDRESS: usize = 16 << 10;

/// An `http` or `https` address, without a user.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) target: String,
}

impl Address {
    /// Reads an absolute address; what is wrong with it, in words, otherwise.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST_ADDRESS {
            return Err(format!("an address of {} bytes", text.len()));
        }
        let uri: Uri = text.parse().map_err(|_| "no address at all".to_owned())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(other) => return Err(format!("an address of the kind {other}://")),
            None => return Err("an address without http:// or https://".into()),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = uri.host().unwrap_or("").to_ascii_lowercase();
        if authority.contains('@') || host.is_empty() {
            return Err("an address with a user or without a host".into());
        }
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        Ok(Self { secure, host, port, target })
    }

    /// Where a redirect from here leads.
    pub(super) fn join(&self, location: &str) -> Result<Self, String> {
        let path_end = self.target.find('?').unwrap_or(self.target.len());
        let scheme = if self.secure { "https" } else { "http" };
        let text = if location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
            location.to_owned()
        } else if location.starts_with("//") {
            format!("{scheme}:{location}")
        } else if location.starts_with('/') {
            format!("{scheme}://{}:{}{location}", self.host, self.port)
        } else {
            let folder = self.target[..path_end].rfind('/').map_or("/", |end| &self.target[..=end]);
            format!("{scheme}://{}:{}{folder}{location}", self.host, self.port)
        };
        let next = Self::parse(&text)?;
        if self.secure && !next.secure {
            return Err("an address without encryption".into());
        }
        Ok(next)
    }

    /// Whether both are the same server.
    pub(super) fn same_server(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// Whether what is sent there can be read by nobody else.
    pub(super) fn is_private(&self) -> bool {
        self.secure || matches!(self.host.as_str(), "localhost" | "[::1]") || self.host.starts_with("127.")
    }

    /// All of it, as it is asked for.
    pub(super) fn text(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", self.host, self.port, self.target)
    }
}

/// For messages: without the query, which may hold a signature.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or("");
        let usual = if self.secure { 443 } else { 80 };
        f.write_str(if self.secure { "https://" } else { "http://" })?;
        f.write_str(&self.host)?;
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(path)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from = Address::parse("https://hub.org/a/b?c=/d").unwrap();
        let to = |location: &str| from.join(location).map(|address| address.text());
        assert_eq!(to("https://cdn.org/x?sig=1").unwrap(), "https://cdn.org:443/x?sig=1");
        assert_eq!(to("/x").unwrap(), "https://hub.org:443/x");
        assert_eq!(to("x:y/z").unwrap_err(), "no address at all");
        assert_eq!(to("x/y?u=https://z").unwrap(), "https://hub.org:443/a/x/y?u=https://z");
        assert_eq!(to("//other.org:8/x").unwrap(), "https://other.org:8/x");
        for bad in
            ["http://hub.org/x", "file:///etc/passwd", "ftp://x/y", "https://u:p@x/y", "data:text/plain,x", "gopher:x"]
        {
            assert!(from.join(bad).is_err(), "{bad}");
        }
        assert!(!from.to_string().contains('?'), "a signature is not shown");
    }
}
