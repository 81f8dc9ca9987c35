//! The dialects of context headers.

/// A dialect of context headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Style {
    /// `x-datadog-*`.
    Datadog,
    /// W3C `traceparent` and `tracestate`.
    TraceContext,
    /// W3C `baggage`.
    Baggage,
    /// The single header `b3`.
    B3,
    /// `x-b3-*`.
    B3Multi,
    /// `uber-trace-id`.
    Jaeger,
    /// `x-amzn-trace-id`.
    XRay,
    /// `ot-tracer-*`.
    OtTrace,
}

impl Style {
    /// Every style.
    pub const ALL: [Style; 8] = [
        Style::Datadog,
        Style::TraceContext,
        Style::Baggage,
        Style::B3,
        Style::B3Multi,
        Style::Jaeger,
        Style::XRay,
        Style::OtTrace,
    ];

    /// The name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Style::Datadog => "datadog",
            Style::TraceContext => "tracecontext",
            Style::Baggage => "baggage",
            Style::B3 => "b3",
            Style::B3Multi => "b3multi",
            Style::Jaeger => "jaeger",
            Style::XRay => "xray",
            Style::OtTrace => "ottrace",
        }
    }

    /// Whether Datadog's tracers know it: others are not handed on to them.
    #[must_use]
    pub fn is_known_to_datadog(self) -> bool {
        !matches!(self, Style::Jaeger | Style::XRay | Style::OtTrace)
    }

    /// The style of that name, in lower case.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Style> {
        Style::ALL.into_iter().find(|style| style.name().as_bytes() == name)
    }
}

/// Several styles in order, each once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Styles {
    list: [Option<Style>; 8],
}

impl Styles {
    /// None.
    pub const NONE: Styles = Styles { list: [None; 8] };

    /// Adds a style at the end, if it is not there.
    pub fn push(&mut self, style: Style) {
        if self.contains(style) {
            return;
        }
        if let Some(place) = self.list.iter_mut().find(|place| place.is_none()) {
            *place = Some(style);
        }
    }

    /// The styles in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Style> + use<> {
        self.list.into_iter().flatten()
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(&self, style: Style) -> bool {
        self.iter().any(|present| present == style)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl FromIterator<Style> for Styles {
    fn from_iter<T: IntoIterator<Item = Style>>(styles: T) -> Self {
        let mut list = Styles::NONE;
        for style in styles {
            list.push(style);
        }
        list
    }
}

/// Whose rules hold where Datadog's and OpenTelemetry's differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// The styles came from `DD_*`, or from nowhere.
    #[default]
    Datadog,
    /// The styles came from `OTEL_PROPAGATORS`.
    OpenTelemetry,
}
