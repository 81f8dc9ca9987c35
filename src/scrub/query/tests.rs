use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// The rule as Datadog's tracers have it.
const RULE: &str = concat!(
    r#"(?i)(?:(?:"|%22)?)(?:(?:old[-_]?|new[-_]?)?p(?:ass)?w(?:or)?d(?:1|2)?|pass(?:[-_]?phrase)?|secret|"#,
    r"(?:api[-_]?|private[-_]?|public[-_]?|access[-_]?|secret[-_]?|app(?:lication)?[-_]?)key(?:[-_]?id)?|token|",
    r"consumer[-_]?(?:id|key|secret)|sign(?:ed|ature)?|auth(?:entication|orization)?)",
    r#"(?:(?:\s|%20)*(?:=|%3D)[^&]+|(?:"|%22)(?:\s|%20)*(?::|%3A)(?:\s|%20)*(?:"|%22)(?:%2[^2]|%[^2]|[^"%])+(?:"|%22))|"#,
    r"(?:bearer(?:\s|%20)+[a-z0-9._\-]+|token(?::|%3A)[a-z0-9]{13}|gh[opsu]_[0-9a-zA-Z]{36}|",
    r"(^|[^\w%-]|%[0-9a-f]{2})ey[I-L][\w-]+(?:=|%3D)*\.ey[I-L][\w-]+(?:=|%3D)*(?:\.(?:[\w.+/=-]|%3D|%2F|%2B)+)?|",
    r"-{5}BEGIN(?:[a-z\s]|%20)+PRIVATE(?:\s|%20)KEY-{5}[^\-]+-{5}END(?:[a-z\s]|%20)+PRIVATE(?:\s|%20)KEY(?:-{5})?(?:\n|%0A)?|",
    r"(?:ssh-(?:rsa|dss)|ecdsa-[a-z0-9]+-[a-z0-9]+)(?:\s|%20|%09)+(?:[a-z0-9/.+]|%2F|%5C|%2B){100,}(?:=|%3D)*",
    r"(?:(?:\s|%20|%09)+[a-z0-9._-]+)?)",
);

fn by_rule() -> regex::bytes::Regex {
    regex::bytes::RegexBuilder::new(RULE).unicode(false).build().unwrap()
}

fn secrets(text: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((start, end)) = next_secret(text, at) {
        assert!(end > start, "no progress in {:?}", String::from_utf8_lossy(text));
        found.push((start, end));
        at = end;
    }
    found
}

fn secrets_by_rule(rule: &regex::bytes::Regex, text: &[u8]) -> Vec<(usize, usize)> {
    rule.find_iter(text).map(|found| (found.start(), found.end())).collect()
}

#[test]
fn examples_of_each_kind() {
    let rule = by_rule();
    let long = "aB3/".repeat(30);
    for (text, hidden) in [
        ("a=1&password=hunter2&b=2", "password=hunter2"),
        ("user_old-pwd2%20=x%20y", "old-pwd2%20=x%20y"),
        ("X-Api_Key-Id=7&x", "Api_Key-Id=7"),
        ("tokenized=yes", ""),
        ("token=", ""),
        (r#"{"Secret" : "a\b"}"#, r#""Secret" : "a\b""#),
        ("%22auth%22%3A%20%22a%2Bb%22%7D", "%22auth%22%3A%20%22a%2Bb%22"),
        (r#""token":"""#, ""),
        (r#""token":"a%"b"c"#, r#""token":"a%"b""#),
        ("h=Bearer%20abc._-d e", "Bearer%20abc._-d"),
        ("token:0123456789abcdef", "token:0123456789abc"),
        ("ghp_0123456789012345678901234567890123456789", "ghp_012345678901234567890123456789012345"),
        ("eyJhbGci.eyJzdWIi.sig-_+/=%2F&a", "eyJhbGci.eyJzdWIi.sig-_+/=%2F"),
        ("t=eyJh==.eyKb%3D.", "=eyJh==.eyKb%3D"),
        ("%20eyIa.eyLb", "%20eyIa.eyLb"),
        ("xeyJh.eyJb", ""),
        (
            "-----BEGIN RSA PRIVATE KEY-----abc-----END RSA%20PRIVATE%20KEY-----\n!",
            "-----BEGIN RSA PRIVATE KEY-----abc-----END RSA%20PRIVATE%20KEY-----\n",
        ),
        ("-----BEGIN PRIVATE KEY PRIVATE KEY-----x-----END PRIVATE KEYS", "-----BEGIN PRIVATE KEY PRIVATE KEY-----x-----END PRIVATE KEY"),
        ("-----BEGINPRIVATE KEY-----x-----END PRIVATE KEY", ""),
        (&std::format!("k ssh-rsa {long}%3D%09me@host"), &std::format!("ssh-rsa {long}%3D%09me")),
        (&std::format!("ecdsa-sha2-nistp256%20{long}"), &std::format!("ecdsa-sha2-nistp256%20{long}")),
        ("ssh-rsa AAAA", ""),
    ] {
        let found = secrets(text.as_bytes());
        assert_eq!(found, secrets_by_rule(&rule, text.as_bytes()), "{text}");
        let shown: Vec<&str> = found.iter().map(|(start, end)| &text[*start..*end]).collect();
        assert_eq!(shown.concat(), hidden, "{text}");
    }
}

#[test]
fn characters_beyond_ascii_stay_whole() {
    let text = std::format!("n{0}eyJh.eyJb{0}", "é");
    assert_eq!(secrets(text.as_bytes()), [(3, 12)]);
}

/// Texts made of what the rule looks for, so that most of them match nearly or wholly.
fn near_secrets() -> impl Strategy<Value = Vec<u8>> {
    let names = vec![
        "password", "passwd", "PWD", "pass", "phrase", "old", "new", "w", "or", "d", "1", "secret", "api", "private",
        "public", "access", "app", "lication", "key", "Id", "token", "consumer", "sign", "ed", "ature", "auth",
        "entication", "orization", "-", "_",
    ];
    let marks = vec![
        "=", "%3D", "%3d", "\"", "%22", ":", "%3a", " ", "%20", "\t", "%09", "\n", "%0A", "&", "%", "%2", "2", ".", "/",
        "+", "%2F", "%5c", "%2B", "?", "é",
    ];
    let shapes = vec![
        "bearer", "gh", "gho_", "ghX_", "ey", "eyJ", "eyI", "EYl", "eyM", "-----", "BEGIN", "END", "PRIVATE", "KEY",
        "ssh-", "rsa", "dss", "ecdsa-", "sha2-", "abcdefghijklm", "0123456789abcdefghij0123456789ABCDEF",
        "AAAAB3NzaC1yc2E/AAAAB3NzaC1yc2E+AAAAB3NzaC1yc2E.AAAAB3NzaC1yc2EaAAAAB3NzaC1yc2EaAAAAB3NzaC1yc2EaAAAA",
    ];
    let select = |from: Vec<&'static str>| prop::sample::select(from).prop_map(String::from);
    let part = prop_oneof![4 => select(names), 4 => select(marks), 3 => select(shapes), 1 => "[ -~]{0,3}"];
    prop::collection::vec(part, 0..14).prop_map(|parts| parts.concat().into_bytes())
}

/// Secrets of each kind with a few edits, which most often spoil them.
fn spoiled_secrets() -> impl Strategy<Value = Vec<u8>> {
    let whole = vec![
        "a=1&new_password2%20=hunter2&b",
        "x %22application-key-id%22%20%3A \"a%2Fb%c\" y",
        "=%22consumer_secret\": \"abc%22%2",
        "Authorization: Bearer%20abc.def-_ token:0123456789abcd",
        "key=gho_0123456789abcdefghij0123456789ABCDEF&",
        "?eyJhbGciOi=%3D.eyKzdWIiOi==.a+b/c=-%2F%2B%3D &",
        "%20eyIa-_.eyLb.",
        "-----BEGIN RSA%20PRIVATE KEY-----a b%0Ac-----END PRIVATE RSA PRIVATE%20KEY-----%0A",
        "ssh-rsa%09AAAAB3NzaC1yc2E/AAAAB3NzaC1yc2E+AAAAB3NzaC1yc2E.AAAAB3NzaC1yc2EaAAAAB3NzaC1yc2EaAAAAB3NzaC1yc2Ea%2F%5CAAB=%3D joe@host",
        "ecdsa-sha2-nistp256 AAAAB3NzaC1yc2E/AAAAB3NzaC1yc2E+AAAAB3NzaC1yc2E.AAAAB3NzaC1yc2EaAAAAB3NzaC1yc2EaAAAAB3NzaC1yc2EaAAAA",
    ];
    let mark = prop::sample::select(vec!["", "=", "%3D", "\"", "%22", " ", "%20", "%", "2", "-", "_", ".", "a", "K", "é", "&"]);
    let edit = (any::<prop::sample::Index>(), 0..4usize, mark);
    (prop::sample::select(whole), prop::collection::vec(edit, 0..4)).prop_map(|(whole, edits)| {
        let mut text = whole.as_bytes().to_vec();
        for (place, cut, insert) in edits {
            let start = place.index(text.len() + 1);
            let end = (start + cut).min(text.len());
            text.splice(start..end, insert.bytes());
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 20_000 } else { 500_000 }))]

    #[test]
    fn it_finds_what_the_rule_finds(text in prop_oneof![near_secrets(), spoiled_secrets()]) {
        std::thread_local!(static RULE: regex::bytes::Regex = by_rule());
        let mut by_rule = RULE.with(|rule| secrets_by_rule(rule, &text));
        for (start, _) in &mut by_rule {
            // Of a character beyond ASCII that sets a web token apart, nothing is taken.
            *start += usize::from(!text[*start].is_ascii());
        }
        prop_assert_eq!(secrets(&text), by_rule, "{}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn anything_is_searched(text in prop::collection::vec(any::<u8>(), 0..200)) {
        secrets(&text);
    }
}
