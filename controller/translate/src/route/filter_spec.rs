//! Filters as HTTPRoutes and GRPCRoutes write them, made one.

use fairlead_crds::gateway::{
    GRPCRouteFilter, GRPCRouteFilterType, HTTPCORSFilter, HTTPExternalAuthFilter, HTTPHeaderFilter,
    HTTPRequestMirrorFilter, HTTPRequestRedirectFilter, HTTPRouteFilter, HTTPRouteFilterType, HTTPURLRewriteFilter,
    LocalObjectReference,
};

/// A filter of a rule or backend.
#[derive(Clone, Copy)]
pub(super) enum FilterSpec<'a> {
    RequestHeaders(&'a HTTPHeaderFilter),
    ResponseHeaders(&'a HTTPHeaderFilter),
    Mirror(&'a HTTPRequestMirrorFilter),
    Redirect(&'a HTTPRequestRedirectFilter),
    Rewrite(&'a HTTPURLRewriteFilter),
    Cors(&'a HTTPCORSFilter),
    ExternalAuth(&'a HTTPExternalAuthFilter),
    Extension(&'a LocalObjectReference),
    /// The field that its type asks for is not there.
    Missing(&'static str),
    /// Not known.
    Unknown(&'a str),
}

impl FilterSpec<'_> {
    /// The field that holds it.
    pub fn field(&self) -> &'static str {
        match self {
            FilterSpec::RequestHeaders(_) => "requestHeaderModifier",
            FilterSpec::ResponseHeaders(_) => "responseHeaderModifier",
            FilterSpec::Mirror(_) => "requestMirror",
            FilterSpec::Redirect(_) => "requestRedirect",
            FilterSpec::Rewrite(_) => "urlRewrite",
            FilterSpec::Cors(_) => "cors",
            FilterSpec::ExternalAuth(_) => "externalAuth",
            FilterSpec::Extension(_) => "extensionRef",
            FilterSpec::Missing(field) => field,
            FilterSpec::Unknown(_) => "type",
        }
    }

    /// Whether it may stand there several times.
    pub fn repeats(&self) -> bool {
        matches!(self, FilterSpec::Mirror(_) | FilterSpec::Extension(_))
    }
}

fn given<'a, T>(value: Option<&'a T>, field: &'static str, make: impl Fn(&'a T) -> FilterSpec<'a>) -> FilterSpec<'a> {
    value.map_or(FilterSpec::Missing(field), make)
}

impl<'a> From<&'a HTTPRouteFilter> for FilterSpec<'a> {
    fn from(f: &'a HTTPRouteFilter) -> Self {
        use HTTPRouteFilterType as Type;
        match &f.type_ {
            Type::RequestHeaderModifier => {
                given(f.request_header_modifier.as_ref(), "requestHeaderModifier", FilterSpec::RequestHeaders)
            }
            Type::ResponseHeaderModifier => {
                given(f.response_header_modifier.as_ref(), "responseHeaderModifier", FilterSpec::ResponseHeaders)
            }
            Type::RequestMirror => given(f.request_mirror.as_ref(), "requestMirror", FilterSpec::Mirror),
            Type::RequestRedirect => given(f.request_redirect.as_ref(), "requestRedirect", FilterSpec::Redirect),
            Type::UrlRewrite => given(f.url_rewrite.as_ref(), "urlRewrite", FilterSpec::Rewrite),
            Type::Cors => given(f.cors.as_ref(), "cors", FilterSpec::Cors),
            Type::ExtensionRef => given(f.extension_ref.as_ref(), "extensionRef", FilterSpec::Extension),
            Type::ExternalAuth => given(f.external_auth.as_ref(), "externalAuth", FilterSpec::ExternalAuth),
            Type::Other(other) => FilterSpec::Unknown(other),
        }
    }
}

impl<'a> From<&'a GRPCRouteFilter> for FilterSpec<'a> {
    fn from(f: &'a GRPCRouteFilter) -> Self {
        use GRPCRouteFilterType as Type;
        match &f.type_ {
            Type::RequestHeaderModifier => {
                given(f.request_header_modifier.as_ref(), "requestHeaderModifier", FilterSpec::RequestHeaders)
            }
            Type::ResponseHeaderModifier => {
                given(f.response_header_modifier.as_ref(), "responseHeaderModifier", FilterSpec::ResponseHeaders)
            }
            Type::RequestMirror => given(f.request_mirror.as_ref(), "requestMirror", FilterSpec::Mirror),
            Type::ExtensionRef => given(f.extension_ref.as_ref(), "extensionRef", FilterSpec::Extension),
            Type::Other(other) => FilterSpec::Unknown(other),
        }
    }
}
