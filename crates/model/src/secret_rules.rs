//! Tells what kind of secret a text is: by its shape, by the name it stands under, never by asking anyone.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

/// A known token shape.
struct Rule {
    kind: &'static str,
    regex: Regex,
    /// Least Shannon entropy of the match in bits for each character.
    floor: f64,
}

/// The kind of a token with a known shape anywhere in `text`: `"GitHub token"`.
pub fn shape(text: &str) -> Option<&'static str> {
    static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let compile = |(kind, pattern, floor): &(&'static str, &str, f64)| Rule {
            kind,
            regex: Regex::new(pattern).expect("the table's patterns are compiled by a test"),
            floor: *floor,
        };
        SHAPES.iter().map(compile).collect()
    });
    let found = RULES.iter().find(|rule| {
        rule.regex.find_iter(text).any(|m| entropy(m.as_str()) >= rule.floor && !is_placeholder(m.as_str()))
    });
    found.map(|rule| rule.kind).or_else(|| json_web_token(text))
}

/// Shannon entropy in bits for each character.
pub fn entropy(text: &str) -> f64 {
    let mut counts = HashMap::<char, u32>::new();
    for c in text.chars() {
        *counts.entry(c).or_default() += 1;
    }
    let total = f64::from(counts.values().sum::<u32>());
    counts.values().map(|n| f64::from(*n) / total).map(|p| -p * p.log2()).sum()
}

/// What is left of a text when references to secrets kept elsewhere are taken out: `${X}`, `$X`, `%X%`,
/// `{env:X}`, `{{X}}`, `$(…)`, `op://…`. The default in `${X:-default}` stays.
pub fn without_references(text: &str) -> String {
    static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"\$\{\{[^{}]*\}\}|\{\{[^{}]*\}\}|\$\{[^{}]*?:-(?P<default>[^{}]*)\}|\$\{[^{}]*\}|\{(?:env|file):[^{}]*\}",
            r"|\$\([^()]*\)|%[A-Za-z_][A-Za-z0-9_]*%|\$[A-Za-z_][A-Za-z0-9_]*",
            r"|\b(?:op|keychain|vault|secret|azurekeyvault|gcp-secret|aws-secret)://\S+|\bvault:\S+",
            r"|\barn:aws[a-z-]*:(?:secretsmanager|ssm):\S+",
        ))
        .expect("a constant pattern")
    });
    REFERENCE.replace_all(text, "$default").into_owned()
}

/// Whether a text stands for a value that somebody was meant to fill in.
pub fn is_placeholder(text: &str) -> bool {
    static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?i)^(?:<[^>]*>|\[[^\]]*\]|your[-_ ].*|my[-_ ](?:api[-_ ]?)?(?:key|token|secret)|.*[-_ ]your[-_ ].*|.*[-_](?:key|token|secret)[-_]here",
            r"|[a-z0-9_-]{0,16}[x*.•…]{3,}[a-z0-9]{0,4}|change[-_ ]?(?:me|it)|replace[-_ ]?.*|insert[-_ ].*|enter[-_ ].*|todo|tbd|none|null",
            r"|undefined|dummy|placeholder|example|redacted|\[…\])$",
        ))
        .expect("a constant pattern")
    });
    PLACEHOLDER.is_match(text.trim())
}

/// Whether a name (of a variable, a flag, a query parameter, a header) says that its value is a secret.
pub fn is_telling(name: &str) -> bool {
    let words = words_of(name);
    let Some(last) = words.last() else { return false };
    if NOT_A_SECRET_LAST.contains(&last.as_str()) || words.iter().any(|w| PUBLIC.contains(&w.as_str())) {
        return false;
    }
    words.iter().any(|word| {
        TELLING_WORDS.contains(&word.as_str()) || TELLING_ENDS.iter().any(|end| word.ends_with(end))
    })
}

/// The kind of secret that `value` is under the name `name`, or `None`.
pub fn named(name: &str, value: &str) -> Option<&'static str> {
    let left = without_references(value);
    let left = left.trim();
    if left.is_empty() || is_placeholder(left) {
        return None;
    }
    if let Some(kind) = shape(left) {
        return Some(kind);
    }
    if let Some(kind) = scheme(left) {
        return Some(kind);
    }
    let trivial =
        matches!(left.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off")
            || (left.len() < 4 && left.bytes().all(|b| b.is_ascii_digit()));
    if is_telling(name) && !trivial && !is_path(left) && !left.starts_with("pk_") {
        return Some(kind_of_name(name));
    }
    None
}

/// The kind of secret in a header, or `None`. Position beats entropy: behind `Authorization` and its kin
/// everything that is no reference is one; what looks random under an unknown name counts as one too.
pub fn header(name: &str, value: &str) -> Option<&'static str> {
    let kind = sure_header(name, value);
    let left = without_references(value);
    let left = left.trim();
    let random = left.len() >= 16
        && !left.contains(' ')
        && !is_path(left)
        && !left.contains("://")
        && entropy(left) >= 3.0;
    kind.or_else(|| (random && !is_blank(left) && !is_plain_header(name)).then_some("secret header"))
}

/// The same without guessing: by the shape of the value, its scheme or the name.
pub fn sure_header(name: &str, value: &str) -> Option<&'static str> {
    let left = without_references(value);
    let left = left.trim();
    if is_blank(left) {
        return None;
    }
    if let Some(kind) = shape(left) {
        return Some(kind);
    }
    if is_plain_header(name) {
        return None;
    }
    scheme(left).or_else(|| is_telling(name).then(|| kind_of_name(name)))
}

/// Whether a header by this name is there for credentials, whatever stands behind it.
pub fn is_credential_header(name: &str) -> bool {
    CREDENTIAL_HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether what is left of a header's value says nothing: empty, a placeholder, a scheme's word alone.
fn is_blank(left: &str) -> bool {
    let rest = left.split_once(char::is_whitespace).map_or(left, |(_, rest)| rest.trim());
    left.is_empty() || is_placeholder(left) || is_placeholder(rest) || is_scheme(left)
}

/// Whether a header by this name carries no secret: its value may be shown and kept.
pub fn is_plain_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PLAIN_HEADERS.contains(&name.as_str())
        || ((name.starts_with("x-mcp-") || name.starts_with("mcp-")) && !is_telling(&name))
}

/// The kind of `Bearer x`, `Basic x` and the like.
fn scheme(text: &str) -> Option<&'static str> {
    let (word, rest) = text.split_once(char::is_whitespace)?;
    let rest = rest.trim();
    if rest.is_empty() || is_placeholder(rest) || (rest.contains(' ') && !word.eq_ignore_ascii_case("digest"))
    {
        return None;
    }
    SCHEMES.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind)
}

/// Whether a text is the word of an authentication scheme and nothing else: `Bearer`.
pub fn is_scheme(text: &str) -> bool {
    SCHEMES.iter().any(|(name, _)| text.eq_ignore_ascii_case(name))
}

fn kind_of_name(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let has = |part: &str| name.contains(part);
    if has("passw") || has("pwd") || has("passphrase") {
        "password"
    } else if has("cookie") || has("session") {
        "session cookie"
    } else if has("key") {
        "API key"
    } else if has("token") || has("pat") || has("bearer") || has("jwt") {
        "token"
    } else if has("signature") || name.ends_with("sig") {
        "signature"
    } else {
        "secret"
    }
}

/// A JSON web token; the public anonymous key of a Supabase project is one too and is no secret.
fn json_web_token(text: &str) -> Option<&'static str> {
    use base64::Engine as _;
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\bey[A-Za-z0-9_-]{10,}\.(ey[A-Za-z0-9_-]{10,})\.[A-Za-z0-9_-]{10,}")
            .expect("a constant pattern")
    });
    let found = TOKEN.captures_iter(text).any(|token| {
        let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&token[1]).unwrap_or_default();
        !String::from_utf8_lossy(&payload).contains(r#""role":"anon""#)
    });
    found.then_some("JSON web token")
}

pub(crate) fn is_path(text: &str) -> bool {
    let bytes = text.as_bytes();
    ["/", "~/", "./", "../", r"\\"].iter().any(|start| text.starts_with(start))
        || (bytes.len() > 2
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && matches!(bytes[2], b'\\' | b'/'))
}

/// `GITHUB_personalAccessToken` -> github, personal, access, token.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && lower) {
            words.push(String::new());
        }
        lower = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric() {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

const TELLING_WORDS: &[&str] = &[
    "token",
    "key",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "pw",
    "auth",
    "authorization",
    "bearer",
    "credential",
    "credentials",
    "cookie",
    "pat",
    "jwt",
    "sig",
    "signature",
    "dsn",
    "otp",
    "pin",
];
const TELLING_ENDS: &[&str] =
    &["token", "apikey", "secret", "password", "accesskey", "secretkey", "privatekey"];
const PUBLIC: &[&str] = &["public", "publishable", "anon"];
const NOT_A_SECRET_LAST: &[&str] = &[
    "url",
    "uri",
    "path",
    "file",
    "dir",
    "id",
    "name",
    "host",
    "port",
    "region",
    "endpoint",
    "limit",
    "ttl",
    "type",
    "count",
    "timeout",
    "mode",
    "enabled",
    "scheme",
    "prefix",
    "length",
    "size",
    "expiry",
    "version",
    "algorithm",
    "issuer",
    "audience",
    "method",
    "tokens",
    "provider",
    "scope",
    "scopes",
    "user",
    "username",
    "interval",
];
const CREDENTIAL_HEADERS: &[&str] =
    &["authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"];
const PLAIN_HEADERS: &[&str] = &[
    "accept",
    "accept-language",
    "accept-encoding",
    "content-type",
    "user-agent",
    "host",
    "origin",
    "referer",
    "cache-control",
    "x-tenant",
    "x-tenant-id",
    "tenant",
    "tenant-id",
    "x-region",
    "region",
    "x-org",
    "x-org-id",
    "x-organization-id",
    "x-workspace-id",
    "x-project-id",
    "x-client-name",
    "x-client-version",
    "x-request-id",
];
const SCHEMES: &[(&str, &str)] = &[
    ("bearer", "bearer token"),
    ("basic", "basic credentials"),
    ("token", "token"),
    ("apikey", "API key"),
    ("api-key", "API key"),
    ("digest", "digest credentials"),
    ("negotiate", "negotiate token"),
    ("key", "API key"),
];

/// Kind, pattern, least entropy. Ours; the shapes are the issuers' own.
#[rustfmt::skip]
const SHAPES: &[(&str, &str, f64)] = &[
    ("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b", 3.0),
    ("GitHub fine-grained token", r"\bgithub_pat_[A-Za-z0-9_]{60,255}\b", 3.0),
    ("GitLab token", r"\bgl(?:pat|dt|rt|ft|oas|ptt|soat|cbt|imt|agent)-[A-Za-z0-9_.-]{20,320}", 3.0),
    ("Slack token", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,250}", 2.0),
    ("Slack app token", r"\bxapp-\d-[A-Za-z0-9-]{10,250}", 2.0),
    ("Slack webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{20,}", 2.0),
    ("Notion token", r"\bntn_[A-Za-z0-9]{40,60}\b", 3.5),
    ("Notion token", r"\bsecret_[A-Za-z0-9]{43}\b", 3.5),
    ("Linear key", r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,64}\b", 2.0),
    ("Stripe key", r"\b[sr]k_(?:test|live|prod)_[A-Za-z0-9]{10,150}\b", 2.0),
    ("Stripe webhook secret", r"\bwhsec_[A-Za-z0-9+/=]{20,}", 3.0),
    ("Sentry token", r"\bsntry[us]_[A-Za-z0-9+/=_-]{40,}", 3.5),
    ("Hugging Face token", r"\bhf_[A-Za-z]{34}\b", 2.0),
    ("Airtable token", r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b", 3.0),
    ("Anthropic key", r"\bsk-ant-[a-z0-9]+-[A-Za-z0-9_-]{40,}", 3.0),
    ("OpenRouter key", r"\bsk-or-v1-[a-f0-9]{64}\b", 3.0),
    ("OpenAI key", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}", 3.0),
    ("OpenAI key", r"\bsk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}\b", 3.0),
    ("AWS access key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", 2.5),
    ("AWS Bedrock key", r"\bABSK[A-Za-z0-9+/]{109,269}={0,2}", 3.0),
    ("Google API key", r"\bAIza[A-Za-z0-9_-]{35}", 3.0),
    ("Google client secret", r"\bGOCSPX-[A-Za-z0-9_-]{28}", 3.0),
    ("Google access token", r"\bya29\.[A-Za-z0-9_-]{20,}", 3.0),
    ("Google refresh token", r"\b1//0[A-Za-z0-9_-]{30,}", 3.0),
    ("Atlassian token", r"\bAT(?:ATT|CTT|BBT)3[A-Za-z0-9_=-]{60,}", 3.5),
    ("Figma token", r"\bfig[dour]_[A-Za-z0-9_-]{30,}", 3.0),
    ("Supabase token", r"\bsbp_(?:v0_)?[a-f0-9]{40}\b", 3.0),
    ("Supabase secret key", r"\bsb_secret_[A-Za-z0-9_-]{20,}", 3.0),
    ("Databricks token", r"\bdapi[a-f0-9]{32}(?:-\d)?\b", 3.0),
    ("DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}\b", 3.0),
    ("Fly token", r"\b(?:fo1|fm[12][ar]?)_[A-Za-z0-9+/=_-]{40,}", 3.5),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b", 2.0),
    ("PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}", 3.0),
    ("Perplexity key", r"\bpplx-[A-Za-z0-9]{40,}\b", 3.5),
    ("Tavily key", r"\btvly-[A-Za-z0-9-]{20,}\b", 3.0),
    ("Brave key", r"\bBSA[A-Za-z0-9_-]{24,32}\b", 3.5),
    ("Context7 key", r"\bctx7sk-[a-f0-9]{8}-[a-f0-9-]{27}\b", 3.0),
    ("Firecrawl key", r"\bfc-[a-f0-9]{32}\b", 3.0),
    ("Exa, Groq or xAI key", r"\b(?:gsk_|xai-)[A-Za-z0-9]{40,}\b", 3.0),
    ("Replicate token", r"\br8_[A-Za-z0-9]{37}\b", 3.0),
    ("SendGrid key", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", 2.5),
    ("Postman key", r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b", 3.0),
    ("HubSpot token", r"\bpat-(?:na|eu|ap)\d-[a-f0-9]{8}-[a-f0-9-]{27}\b", 3.0),
    ("Grafana token", r"\bglsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}\b", 3.0),
    ("Grafana Cloud token", r"\bglc_eyJ[A-Za-z0-9+/=]{30,}", 3.0),
    ("Vault token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}", 3.0),
    ("Doppler token", r"\bdp\.(?:pt|st|ct|sa)\.[A-Za-z0-9._-]{40,}", 2.0),
    ("Pulumi token", r"\bpul-[a-f0-9]{40}\b", 2.0),
    ("Azure client secret", r"\b[A-Za-z0-9_~.-]{3}\dQ~[A-Za-z0-9_~.-]{31,34}", 3.0),
    ("PostHog key", r"\bphx_[A-Za-z0-9]{40,}\b", 3.0),
    ("Netlify token", r"\bnf[pcoub]_[A-Za-z0-9]{36}\b", 3.0),
    ("Resend key", r"\bre_[A-Za-z0-9]{6,}_[A-Za-z0-9]{20,}\b", 3.0),
    ("Shopify token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b", 3.0),
    ("Telegram bot token", r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}", 3.0),
    ("Discord webhook", r"discord(?:app)?\.com/api/webhooks/\d+/[A-Za-z0-9_-]{40,}", 3.0),
    ("private key", r"-----BEGIN [A-Z ]*PRIVATE KEY-----", 0.0),
    ("connection string password", r"(?i)\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|sqlserver|clickhouse)://[^\s:/@]*:[^\s/@$%{][^\s/@]*@", 0.0),
    ("connection string password", r"(?i)(?:^|[;\s])(?:password|pwd|accountkey|sharedaccesskey)\s*=\s*[^;\s$%{<]{3,}", 0.0),
];

#[cfg(test)]
mod tests;
