//! The tags that tell how a span failed, and from where each comes: what an exception says, the status, the HTTP status.
//!
//! Once for the rules that look at these tags, wherever they are asked, and for the mapping that sends them.

/// What an event is called that tells of an exception.
pub const EXCEPTION: &str = "exception";

/// Whether an event of that name tells of an exception.
#[must_use]
pub fn is_exception(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(EXCEPTION.as_bytes())
}

/// A tag that tells how a span failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorTag {
    /// What went wrong, in words.
    Message,
    /// What kind of error it was.
    Type,
    /// Where in the program it was.
    Stack,
}

impl ErrorTag {
    /// All of them, in the order in which they are sent.
    pub const ALL: [ErrorTag; 3] = [ErrorTag::Message, ErrorTag::Type, ErrorTag::Stack];

    /// The tag of that name.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<ErrorTag> {
        match name {
            b"error.message" => Some(ErrorTag::Message),
            b"error.type" => Some(ErrorTag::Type),
            b"error.stack" => Some(ErrorTag::Stack),
            _ => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.names().0
    }

    /// The attribute of an exception's event that it comes from.
    #[must_use]
    pub fn of_exception(self) -> &'static str {
        self.names().1
    }

    /// The attribute that overrules all else.
    fn overruling(self) -> &'static str {
        self.names().2
    }

    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            ErrorTag::Message => ("error.message", "exception.message", "datadog.error.msg"),
            ErrorTag::Type => ("error.type", "exception.type", "datadog.error.type"),
            ErrorTag::Stack => ("error.stack", "exception.stacktrace", "datadog.error.stack"),
        }
    }
}

/// Where the text of an error tag is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorSource {
    /// In the span's attribute of that name.
    Attribute(&'static str),
    /// In the last exception's attribute of that name.
    Exception(&'static str),
    /// In the status.
    Status,
    /// In the tags `http.status_code` and, where there is one, `http.status_text`.
    HttpStatus,
}

/// A span, as far as it tells how it failed.
pub trait Failing {
    /// Whether its status says so.
    fn has_failed(&self) -> bool;
    /// Whether an API of Datadog's has made it: its tags say it then.
    fn has_datadog_tags(&self) -> bool;
    /// Whether OpenTelemetry's API has made it. An exception is told then, even if it is no failure, as Datadog's tracers
    /// carry out `record_exception`.
    fn is_of_otel(&self) -> bool;
    /// Whether the attribute is a text and not empty.
    fn has_attribute(&self, name: &str) -> bool;
    /// Whether a tag of that name is sent, be it the span's or the process's; `text`: as a text.
    fn has_tag(&self, name: &str, text: bool) -> bool;
    /// Whether the last exception has an attribute of that name.
    fn exception_has(&self, name: &str) -> bool;
    /// Whether the status has a message.
    fn has_status_message(&self) -> bool;
}

/// Where the tag comes from, if not from what has its name.
pub fn error_source(span: &dyn Failing, tag: ErrorTag) -> Option<ErrorSource> {
    let has_failed = span.has_failed();
    let is_message = tag == ErrorTag::Message;
    if span.has_datadog_tags() {
        // The status knows what OpenTelemetry's API has said of a span of Datadog's.
        let by_status = is_message && has_failed && span.has_status_message() && !span.has_tag(tag.name(), false);
        return by_status.then_some(ErrorSource::Status);
    }
    if span.has_attribute(tag.overruling()) {
        return Some(ErrorSource::Attribute(tag.overruling()));
    }
    if (has_failed || span.is_of_otel()) && span.exception_has(tag.of_exception()) {
        return Some(ErrorSource::Exception(tag.of_exception()));
    }
    // The last exception knows best, then the status, then the HTTP status.
    if !is_message || !has_failed || span.has_tag(tag.name(), true) {
        None
    } else if span.has_status_message() {
        Some(ErrorSource::Status)
    } else {
        span.has_tag("http.status_code", true).then_some(ErrorSource::HttpStatus)
    }
}
