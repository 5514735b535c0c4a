//! GraphiQL, a page to try a schema in a browser: subscriptions included, and nothing loaded from elsewhere.
//!
//! The page, its script and its style sheet come from one path of the host. The page asks for the others by a query of
//! its own URL, so that any path will do. With axum that is one line:
//! [`axum::graphiql`](crate::axum::graphiql). Other hosts answer a GET with what [`Graphiql::get`] returns.
//!
//! The script is GraphiQL 4.1, bundled with what it needs from the versions that `graphiql/package-lock.json` pins.
//! `graphiql/build.mjs` builds it. The assets are compressed with gzip: 444 kB of script, 8 kB of style sheet, and 8 kB
//! of licences, which `?licences` returns. The package of the crate has 580 kB with them. Fonts are those of the
//! system. The script of GraphiQL 5 has 1,455 kB, because of its editor.
//!
//! What a visitor writes into the page's editor of headers goes with each query. It is also the payload of
//! `connection_init`, for [`Hooks::on_connect`](crate::Hooks::on_connect): a browser cannot add headers to a WebSocket.
//!
//! The page's Content-Security-Policy allows scripts and styles from its own origin alone. It may connect anywhere.
//!
//! # Not here
//!
//! Whether a visitor may see the page. A production server leaves it out, or puts it behind a login.

use std::borrow::Cow;

/// The page for one GraphQL endpoint.
#[derive(Clone, Debug)]
pub struct Graphiql {
    page: String,
}

/// What a host sends to a browser, with status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset<'a> {
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The header `Content-Encoding`, if there is one to set. The host sends the body as it is.
    pub content_encoding: Option<&'static str>,
    /// The header `Cache-Control`.
    pub cache_control: &'static str,
    /// The header `Content-Security-Policy`, if there is one to set.
    pub content_security_policy: Option<&'static str>,
    /// The body.
    pub body: Cow<'a, [u8]>,
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src *; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The query of an asset ends with the crate's version: a browser keeps it, and loads a new version anew.
macro_rules! query {
    ($name:literal) => {
        concat!($name, "=", env!("CARGO_PKG_VERSION"))
    };
}

impl Graphiql {
    /// Makes the page for an endpoint: a URL relative to the page's, such as `/graphql`. The page sends queries there
    /// with POST, and subscriptions over a WebSocket.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        let endpoint = endpoint.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let (style, script) = (query!("style"), query!("script"));
        let page = format!(
            "<!doctype html>\n\
             <html lang=\"en\" data-endpoint=\"{endpoint}\">\n\
             <meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>GraphiQL</title>\n\
             <link rel=\"icon\" href=\"data:,\">\n\
             <link rel=\"stylesheet\" href=\"?{style}\">\n\
             <style>body {{ height: 100vh; margin: 0 }}</style>\n\
             <body>\n\
             <script src=\"?{script}\"></script>\n"
        );
        Self { page }
    }

    /// Returns the answer to a GET of the page's path, with this query. An unknown query gives the page.
    #[must_use]
    pub fn get(&self, query: Option<&str>) -> Asset<'_> {
        let compressed = |content_type, body: &'static [u8]| Asset {
            content_type,
            content_encoding: Some("gzip"),
            cache_control: "public, max-age=31536000, immutable",
            content_security_policy: None,
            body: Cow::Borrowed(body),
        };
        match query {
            Some(query!("script")) => {
                let script = include_bytes!("../graphiql/dist/graphiql.js.gz");
                compressed("text/javascript; charset=utf-8", script)
            }
            Some(query!("style")) => {
                compressed("text/css; charset=utf-8", include_bytes!("../graphiql/dist/graphiql.css.gz"))
            }
            Some("licences") => {
                compressed("text/plain; charset=utf-8", include_bytes!("../graphiql/dist/licences.txt.gz"))
            }
            _ => Asset {
                content_type: "text/html; charset=utf-8",
                content_encoding: None,
                cache_control: "no-cache",
                content_security_policy: Some(POLICY),
                body: Cow::Borrowed(self.page.as_bytes()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(endpoint: &str) -> String {
        String::from_utf8(Graphiql::new(endpoint).get(None).body.into_owned()).expect("text")
    }

    #[test]
    fn the_page_refers_to_its_own_assets_alone() {
        let page = page("/graphql");
        let quoted: Vec<_> = page.split('"').skip(1).step_by(2).collect();
        let targets: Vec<_> = quoted.iter().filter(|text| text.starts_with('?')).collect();
        assert_eq!(targets.len(), 2, "{page}");
        let graphiql = Graphiql::new("/graphql");
        let types: Vec<_> =
            targets.iter().map(|target| graphiql.get(Some(&target[1..])).content_type).collect();
        assert_eq!(types, ["text/css; charset=utf-8", "text/javascript; charset=utf-8"]);
        assert!(!page.contains("//"), "the page has no external URL: {page}");
    }

    #[test]
    fn an_endpoint_cannot_leave_its_attribute() {
        let page = page("/a?b=\"><script>&amp;");
        assert!(page.contains("data-endpoint=\"/a?b=&quot;>&lt;script>&amp;amp;\""), "{page}");
    }

    #[test]
    fn every_asset_is_compressed_and_typed() {
        let graphiql = Graphiql::new("/graphql");
        for query in [query!("script"), query!("style"), "licences"] {
            let asset = graphiql.get(Some(query));
            assert_eq!(
                (asset.content_encoding, &asset.body[..2]),
                (Some("gzip"), &[0x1f, 0x8b][..]),
                "{query}"
            );
        }
        assert_eq!(graphiql.get(Some("query=x")), graphiql.get(None));
        assert_eq!(graphiql.get(None).content_type, "text/html; charset=utf-8");
    }
}
