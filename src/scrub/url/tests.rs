use super::*;
use proptest::prelude::*;
use std::string::String;
use std::vec::Vec;

fn shown(pieces: UrlPieces<'_>) -> String {
    let unchanged = pieces.is_unchanged();
    let text = pieces.text;
    let all: Vec<&[u8]> = pieces.collect();
    assert!(all.iter().all(|piece| !piece.is_empty()));
    let joined = all.concat();
    assert!(!unchanged || joined == text);
    String::from_utf8(joined).unwrap()
}

fn url(text: &str) -> String {
    shown(UrlPieces::of_url(text.as_bytes(), true))
}

#[test]
fn addresses_lose_what_grants_access() {
    for (original, expected) in [
        ("https://example.com/a?b=1#c", "https://example.com/a?b=1#c"),
        ("https://joe:hunter2@example.com/", "https://REDACTED:REDACTED@example.com/"),
        ("https://ghp_x@example.com", "https://REDACTED:REDACTED@example.com"),
        ("https://a:b@c@example.com/x@y", "https://REDACTED:REDACTED@example.com/x@y"),
        ("https://@example.com/", "https://@example.com/"),
        ("https://example.com/?to=a@b", "https://example.com/?to=a@b"),
        ("/fetch/http://u:p@h/", "/fetch/http://REDACTED:REDACTED@h/"),
        ("/a?color=blue&sig=abc&x=1", "/a?color=blue&sig=REDACTED&x=1"),
        ("/a?X-Amz-Signature=ab&X-Amz-Credential=cd", "/a?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED"),
        ("/a?X-Goog-Signature=ab#top", "/a?X-Goog-Signature=REDACTED#top"),
        ("/a?AWSAccessKeyId=AK&Signature=s", "/a?AWSAccessKeyId=REDACTED&Signature=REDACTED"),
        ("/a?X-Amz-Security-Token=t", "/a?X-Amz-Security-Token=REDACTED"),
        ("/a?SIG=abc&sigma=1&sig=", "/a?SIG=abc&sigma=1&sig="),
        ("/a?signature=s&my_token=t&b=2", "/a?<redacted>&my_<redacted>&b=2"),
        ("/password=1", "/password=1"),
        ("https://example.com/#access_token=x", "https://example.com/#access_<redacted>"),
        ("https://u:p@h/?token=x", "https://REDACTED:REDACTED@h/?<redacted>"),
    ] {
        assert_eq!(url(original), expected);
        assert_eq!(url(expected), expected, "twice");
    }
}

#[test]
fn a_query_string_has_no_question_mark() {
    let query = |text: &'static str| shown(UrlPieces::of_query(text.as_bytes(), true));
    assert_eq!(query("token=a&sig=b"), "<redacted>&sig=REDACTED");
    assert_eq!(query("sig=b"), "sig=REDACTED");
}

#[test]
fn without_datadogs_rule_signatures_are_hidden_still() {
    let url = |text: &'static str| shown(UrlPieces::of_url(text.as_bytes(), false));
    assert_eq!(url("https://u:p@h/?token=x&sig=y"), "https://REDACTED:REDACTED@h/?token=x&sig=REDACTED");
}

proptest! {
    #[test]
    fn any_text_stays_text_and_twice_is_once(text in r#"(https?://)?([a-zA-Z0-9@:/?#&=%."é-]|sig=|token=|Signature|%22|eyJ){0,40}"#) {
        let once = url(&text);
        prop_assert_eq!(url(&once), once);
    }
}
