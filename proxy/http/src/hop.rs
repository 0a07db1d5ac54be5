//! Fields that concern one connection only, and those that tell the next hop about this one.

use std::net::IpAddr;

use crate::error::Reject;
use crate::fields::Fields;
use crate::h1::{Options, tokens};
use crate::known::{Known, Set};
use crate::request::RequestHead;
use crate::response::ResponseHead;

/// Removes the fields that concern the client's connection only (RFC 9110 §7.6.1), and those that its `Connection` nominates.
///
/// `te: trailers` stays. `Connection` and `Upgrade` go even for an upgrade that is served: [`RequestHead::upgrade`] has it, and the codecs
/// write it. Costs one test when there is none of them.
///
/// # Errors
/// 400 when `Connection` nominates what others rely on, such as `x-forwarded-for` or `authorization`, names more than ten, or one of more
/// than 256 bytes (Envoy: `http1.connection_header_rejected`).
#[inline]
pub fn strip_request(head: &mut RequestHead) -> Result<(), Reject> {
    if !head.fields.may_have_any(HOP_BY_HOP.bits) {
        return Ok(());
    }
    let trailers = head.fields.all(Known::Te).flat_map(tokens).any(|t| t.eq_ignore_ascii_case(b"trailers"));
    remove_nominated(&mut head.fields, true)?;
    head.fields.remove_set(&HOP_BY_HOP);
    if trailers {
        head.fields.push_known(Known::Te, b"trailers");
    }
    Ok(())
}

/// Removes the fields that concern the upstream's connection only. What it nominates wrongly is ignored.
#[inline]
pub fn strip_response(head: &mut ResponseHead) {
    if head.fields.may_have_any(HOP_BY_HOP.bits) {
        let _ = remove_nominated(&mut head.fields, false);
        head.fields.remove_set(&HOP_BY_HOP);
    }
}

/// The client's address when `trusted_hops` proxies in front of us are trusted: that many entries of `x-forwarded-for` from the right, `peer`
/// when there are fewer or none is trusted (Envoy: `xff_num_trusted_hops` with `use_remote_address`).
pub fn client_address(fields: &Fields, peer: IpAddr, trusted_hops: u32) -> IpAddr {
    let Some(nth) = (trusted_hops as usize).checked_sub(1) else { return peer };
    let mut from_right = [const { &[] as &[u8] }; MAX_HOPS];
    let mut count = 0;
    for entry in fields.all(Known::XForwardedFor).flat_map(|v| v.split(|c| *c == b',')) {
        from_right.rotate_right(1);
        from_right[0] = entry.trim_ascii();
        count += 1;
    }
    from_right
        .get(nth)
        .filter(|_| nth < count)
        .and_then(|entry| str::from_utf8(entry).ok()?.parse().ok())
        .unwrap_or(peer)
}

/// Tells the upstream who asked: appends `peer` to `x-forwarded-for` and sets `x-forwarded-proto`, which is kept only from trusted hops.
pub fn forward(head: &mut RequestHead, peer: &[u8], trusted: bool) {
    head.fields.append_list(Known::XForwardedFor, peer);
    if !trusted || !head.fields.contains(Known::XForwardedProto) {
        head.fields.set_known(Known::XForwardedProto, head.scheme.name().as_bytes());
    }
}

fn remove_nominated(fields: &mut Fields, strict: bool) -> Result<(), Reject> {
    if !Options::of(fields).nominates {
        return Ok(());
    }
    if strict && fields.all(Known::Connection).flat_map(tokens).count() > MAX_NOMINATIONS {
        return Err(REJECTED);
    }
    let list: Vec<Vec<u8>> = fields
        .all(Known::Connection)
        .flat_map(tokens)
        .filter(|t| !Options::is_option(t))
        .map(<[u8]>::to_ascii_lowercase)
        .collect();
    for name in list {
        let relied_on = name.len() > MAX_NAME || name.first() == Some(&b':') || is_relied_on(Known::of(&name));
        match (relied_on, strict) {
            (true, true) => return Err(REJECTED),
            (true, false) => {}
            (false, _) => {
                fields.remove(&name);
            }
        }
    }
    Ok(())
}

/// Fields whose silent removal would change what a request means to those behind us.
fn is_relied_on(known: Known) -> bool {
    use Known::{
        Authorization, ContentLength, ContentType, Cookie, Forwarded, Host, Origin, TransferEncoding, XForwardedFor,
        XForwardedHost, XForwardedPort, XForwardedProto, XRealIp, XRequestId,
    };
    matches!(
        known,
        Authorization
            | ContentLength
            | ContentType
            | Cookie
            | Forwarded
            | Host
            | Origin
            | TransferEncoding
            | XForwardedFor
            | XForwardedHost
            | XForwardedPort
            | XForwardedProto
            | XRealIp
            | XRequestId
    )
}

static HOP_BY_HOP: Set = Set::of(&[
    Known::Connection,
    Known::Http2Settings,
    Known::KeepAlive,
    Known::ProxyConnection,
    Known::Te,
    Known::TransferEncoding,
    Known::Upgrade,
]);

const MAX_NOMINATIONS: usize = 10;
const MAX_NAME: usize = 256;
const MAX_HOPS: usize = 32;
const REJECTED: Reject = Reject { status: 400, details: "http1.connection_header_rejected", close: false };

#[cfg(test)]
mod tests;
