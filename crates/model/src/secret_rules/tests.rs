//! Tables of what is a secret and of what is not. Tokens are put together here, so that none stands in a file.

use super::*;

/// Letters and digits without a pattern.
fn body(length: usize) -> String {
    "Zk3vQ8rT1yB6nW0pL5sD9fG2hJ7kM4xCqE8u".chars().cycle().take(length).collect()
}

fn hexadecimal(length: usize) -> String {
    "3f9a0c7be5d1482661".chars().cycle().take(length).collect()
}

#[test]
fn every_pattern_compiles_and_every_kind_has_an_example() {
    let upper = "QWE7RTY2UIO3PASD4FGHJ5KL6".to_owned();
    let letters: String = "kQzWxEcRvTbYnUmIoPaSdFgHjKl".chars().cycle().take(34).collect();
    let examples: Vec<(&str, String)> = vec![
        ("GitHub token", format!("gho_{}", body(36))),
        ("GitHub fine-grained token", format!("github_pat_{}", body(82))),
        ("GitLab token", format!("glpat-{}", body(20))),
        ("Slack token", format!("xoxb-{}", body(40))),
        ("Slack app token", format!("xapp-1-{}", body(40))),
        ("Slack webhook", format!("https://hooks.slack.com/services/{}", body(40))),
        ("Notion token", format!("ntn_{}", body(46))),
        ("Linear key", format!("lin_api_{}", body(40))),
        ("Stripe key", format!("rk_live_{}", body(24))),
        ("Stripe webhook secret", format!("whsec_{}", body(32))),
        ("Sentry token", format!("sntryu_{}", hexadecimal(64))),
        ("Hugging Face token", format!("hf_{letters}")),
        ("Airtable token", format!("pat{}.{}", body(14), hexadecimal(64))),
        ("Anthropic key", format!("sk-ant-api03-{}AA", body(93))),
        ("OpenRouter key", format!("sk-or-v1-{}", hexadecimal(64))),
        ("OpenAI key", format!("sk-proj-{}", body(74))),
        ("AWS access key", format!("AKIA{}", &upper[..16])),
        ("AWS Bedrock key", format!("ABSK{}", body(120))),
        ("Google API key", format!("AIza{}", body(35))),
        ("Google client secret", format!("GOCSPX-{}", body(28))),
        ("Google access token", format!("ya29.{}", body(60))),
        ("Google refresh token", format!("1//0{}", body(40))),
        ("Atlassian token", format!("ATATT3{}", body(186))),
        ("Figma token", format!("figd_{}", body(40))),
        ("Supabase token", format!("sbp_{}", hexadecimal(40))),
        ("Supabase secret key", format!("sb_secret_{}", body(30))),
        ("Databricks token", format!("dapi{}", hexadecimal(32))),
        ("DigitalOcean token", format!("dop_v1_{}", hexadecimal(64))),
        ("Fly token", format!("fm2_{}", body(60))),
        ("npm token", format!("npm_{}", body(36))),
        ("PyPI token", format!("pypi-AgEIcHlwaS5vcmc{}", body(80))),
        ("Perplexity key", format!("pplx-{}", body(48))),
        ("Tavily key", format!("tvly-dev-{}", body(32))),
        ("Brave key", format!("BSA{}", body(28))),
        ("Context7 key", "ctx7sk-3f9a0c7b-e5d1-4826-913f-9a0c7be5d148".to_owned()),
        ("Firecrawl key", format!("fc-{}", hexadecimal(32))),
        ("Exa, Groq or xAI key", format!("gsk_{}", body(52))),
        ("Replicate token", format!("r8_{}", body(37))),
        ("SendGrid key", format!("SG.{}.{}", body(22), body(43))),
        ("Postman key", format!("PMAK-{}-{}", hexadecimal(24), hexadecimal(34))),
        ("HubSpot token", "pat-na1-3f9a0c7b-e5d1-4826-913f-9a0c7be5d148".to_owned()),
        ("Grafana token", format!("glsa_{}_{}", body(32), hexadecimal(8))),
        ("Grafana Cloud token", format!("glc_eyJ{}", body(40))),
        ("Vault token", format!("hvs.{}", body(90))),
        ("Doppler token", format!("dp.pt.{}", body(43))),
        ("Pulumi token", format!("pul-{}", hexadecimal(40))),
        ("Azure client secret", format!("aB38Q~{}", body(33))),
        ("PostHog key", format!("phx_{}", body(43))),
        ("Netlify token", format!("nfp_{}", body(36))),
        ("Resend key", format!("re_{}_{}", body(8), body(24))),
        ("Shopify token", format!("shpat_{}", hexadecimal(32))),
        ("Telegram bot token", format!("123456789:AA{}", body(33))),
        ("Discord webhook", format!("https://discord.com/api/webhooks/123/{}", body(60))),
        ("private key", "-----BEGIN OPENSSH PRIVATE KEY-----".to_owned()),
        ("connection string password", "postgresql://ana:hunter2@db.example/prod".to_owned()),
        ("connection string password", "Server=db;User=sa;Password=hunter2;".to_owned()),
    ];
    for (kind, example) in &examples {
        assert_eq!(shape(example), Some(*kind));
        assert!(shape(&format!("x={example}")).is_some(), "{kind} behind an equals sign");
    }
    let kinds: std::collections::BTreeSet<_> = SHAPES.iter().map(|(kind, _, _)| *kind).collect();
    let shown: std::collections::BTreeSet<_> = examples.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds.difference(&shown).collect::<Vec<_>>(), Vec::<&&str>::new(), "kinds without an example");
    assert_eq!(examples.len(), 56);
}

#[test]
fn a_json_web_token_is_one_unless_it_is_the_public_key_of_a_project() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let token = |payload: &str| {
        format!("{}.{}.{}", encode(r#"{"alg":"HS256","typ":"JWT"}"#), encode(payload), body(43))
    };
    assert_eq!(shape(&token(r#"{"sub":"ana","iss":"x"}"#)), Some("JSON web token"));
    assert_eq!(shape(&token(r#"{"iss":"supabase","role":"anon"}"#)), None);
}

#[test]
fn position_and_name_make_a_secret_of_anything() {
    for (name, value, kind) in [
        ("API_KEY", "hunter2", "API key"),
        ("DB_PASSWORD", "hunter2", "password"),
        ("githubToken", "hunter2", "token"),
        ("SLACK_SIGNING_SECRET", "abcdef", "secret"),
        ("api-key", "8b1f6d1e-1111-4222-8333-944455566677", "API key"),
        ("PGPASSWORD", "hunter2", "password"),
        ("AUTH_HEADER", "Bearer hunter2", "bearer token"),
        ("X", "Basic YW5hOmh1bnRlcjI=", "basic credentials"),
        ("TOKEN", "${T:-hunter2}", "token"),
        ("client_secret", "hunter2", "secret"),
    ] {
        assert_eq!(named(name, value), Some(kind), "{name}={value}");
    }
    for (name, value, kind) in [
        ("Authorization", "Bearer hunter2", "bearer token"),
        ("authorization", "hunter2", "secret"),
        ("Authorization", "token hunter2", "token"),
        ("X-Api-Key", "hunter2", "API key"),
        ("Cookie", "session=1", "session cookie"),
        ("X-Whatever", "Zk3vQ8rT1yB6nW0pL5sD", "secret header"),
        ("PRIVATE-TOKEN", "hunter2", "token"),
        ("X-MCP-Token", "hunter2", "token"),
    ] {
        assert_eq!(header(name, value), Some(kind), "{name}: {value}");
    }
}

#[test]
fn references_placeholders_and_plain_values_are_no_secrets() {
    for (name, value) in [
        ("TOKEN", "${env:TOKEN}"),
        ("TOKEN", "$TOKEN"),
        ("TOKEN", "%TOKEN%"),
        ("TOKEN", "{env:TOKEN}"),
        ("TOKEN", "{file:~/.token}"),
        ("TOKEN", "{{TOKEN}}"),
        ("TOKEN", "${{ secrets.TOKEN }}"),
        ("TOKEN", "$(pass show token)"),
        ("TOKEN", "op://vault/item/field"),
        ("TOKEN", "vault:secret/data/x#y"),
        ("TOKEN", "keychain://item"),
        ("TOKEN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x"),
        ("TOKEN", "${input:token}"),
        ("API_KEY", "YOUR_API_KEY"),
        ("API_KEY", "your-api-key-here"),
        ("API_KEY", "<your key>"),
        ("API_KEY", "xxxxxxxx"),
        ("API_KEY", "sk-..."),
        ("API_KEY", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        ("API_KEY", "changeme"),
        ("API_KEY", ""),
        ("API_KEY", "   "),
        ("API_KEY", "true"),
        ("KEY_FILE", "/home/ana/.ssh/id"),
        ("TOKEN", "/run/secrets/token"),
        ("TOKEN", r"C:\secrets\token"),
        ("TOKEN_URL", "https://auth.example/token"),
        ("CLIENT_ID", "abcdefabcdef"),
        ("MAX_TOKENS", "4096"),
        ("TOKEN_LIMIT", "4096"),
        ("STRIPE_KEY", "pk_live_abcdef"),
        ("PUBLIC_KEY", "abcdefabcdef"),
        ("AUTHOR", "Ana"),
        ("KEYBOARD", "qwertz"),
        ("MONKEY", "abcdefabcdef"),
        ("PATH", "/usr/bin:/bin"),
        ("COMMIT", "3f9a0c7be5d14826613f9a0c7be5d148266100aa"),
        ("PROJECT", "8b1f6d1e-1111-4222-8333-944455566677"),
        ("NODE_ENV", "production"),
        ("URL", "https://mcp.example.com/mcp"),
    ] {
        assert_eq!(named(name, value), None, "{name}={value}");
    }
    for (name, value) in [
        ("Authorization", "Bearer ${env:TOKEN}"),
        ("Authorization", "${AUTH_HEADER}"),
        ("Authorization", "Bearer"),
        ("Authorization", "Bearer <token>"),
        ("Authorization", "Bearer YOUR_TOKEN"),
        ("Accept", "application/json, text/event-stream"),
        ("X-MCP-Toolsets", "repos,issues,pull_requests"),
        ("User-Agent", "something/1.2.3 (with; a, long=comment)"),
        ("X-Tenant", "3f9a0c7be5d14826613f9a0c7be5d148"),
        ("X-Note", "some words that are only words"),
        ("X-Callback", "https://mcp.example.com/callback/path"),
    ] {
        assert_eq!(header(name, value), None, "{name}: {value}");
    }
}
