//! What a scripted person sees of a page: its forms and links. Not an HTML parser: enough for sign-in pages.

/// A form of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) action: Option<String>,
    pub(super) post: bool,
    pub(super) fields: Vec<Field>,
}

/// An input or a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) kind: FieldKind,
}

/// How a field is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// As it stands.
    Fixed,
    /// By typing a name.
    Text,
    /// By typing a password.
    Password,
    /// By pressing it.
    Button,
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) forms: Vec<Form>,
    pub(super) links: Vec<String>,
}

impl Page {
    pub(super) fn read(html: &str) -> Self {
        let mut page = Self::default();
        let mut open: Option<Form> = None;
        for tag in html.split('<').skip(1).filter_map(|piece| piece.split_once('>').map(|(tag, _)| tag)) {
            let (name, rest) = tag.split_once(|c: char| c.is_whitespace()).unwrap_or((tag, ""));
            let attributes = attributes(rest);
            let get = |wanted: &str| {
                attributes.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
            };
            match name.to_ascii_lowercase().trim_end_matches('/') {
                "form" => {
                    let post = get("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
                    open = Some(Form { action: get("action"), post, fields: Vec::new() });
                }
                "/form" => page.forms.extend(open.take()),
                "a" => page.links.extend(get("href")),
                element @ ("input" | "button") => {
                    let fallback = if element == "button" { "submit" } else { "text" };
                    let kind = match get("type").as_deref().unwrap_or(fallback) {
                        "text" | "email" => FieldKind::Text,
                        "password" => FieldKind::Password,
                        "submit" => FieldKind::Button,
                        _ => FieldKind::Fixed,
                    };
                    if let Some(form) = &mut open {
                        let value = get("value").unwrap_or_default();
                        form.fields.push(Field { name: get("name").unwrap_or_default(), value, kind });
                    }
                }
                _ => {}
            }
        }
        page
    }
}

fn attributes(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = text.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(text.len());
        if end == 0 {
            return found;
        }
        let name = text[..end].to_ascii_lowercase();
        text = text[end..].trim_start();
        let mut value = "";
        if let Some(rest) = text.strip_prefix('=') {
            let rest = rest.trim_start();
            let quote = rest.chars().next().filter(|c| *c == '"' || *c == '\'');
            let (start, end) = match quote {
                Some(quote) => (1, rest[1..].find(quote).map_or(rest.len(), |at| at + 1)),
                None => (0, rest.find(char::is_whitespace).unwrap_or(rest.len())),
            };
            value = &rest[start..end];
            text = rest.get(end + start..).unwrap_or_default();
        }
        found.push((name, unescaped(value)));
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_fields_and_links_are_seen() {
        let page = Page::read(
            r#"<body><a href="/x/abort">[ Cancel ]</a><FORM autocomplete="off" action="http://h/i?a=1&amp;b=2" method=post>
               <input type=hidden name="prompt" value='login'/><input required type="text" name="login" value="">
               <input type="password" name="password"><button type="submit" class="login">Sign-in</button></form></body>"#,
        );
        let field = |name: &str, value: &str, kind| Field { name: name.into(), value: value.into(), kind };
        let form = Form {
            action: Some("http://h/i?a=1&b=2".into()),
            post: true,
            fields: vec![
                field("prompt", "login", FieldKind::Fixed),
                field("login", "", FieldKind::Text),
                field("password", "", FieldKind::Password),
                field("", "", FieldKind::Button),
            ],
        };
        assert_eq!(page, Page { forms: vec![form], links: vec!["/x/abort".into()] });
    }
}
