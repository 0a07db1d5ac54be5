use super::*;
use fairlead_publish::ProxyProgress;
use fairlead_translate::status::{AncestorStatus, ParentStatus};

fn yes(kind: ConditionType) -> Condition {
    let message = "".into();
    Condition { kind, status: ConditionStatus::True, reason: Reason::Accepted, message, observed_generation: Some(4) }
}

fn planned() -> Arc<GatewayStatus> {
    let listener = |name: &str| ListenerStatus {
        name: name.into(),
        supported_kinds: vec![],
        attached_routes: 1,
        conditions: vec![yes(ConditionType::Accepted), yes(ConditionType::Programmed)],
    };
    let conditions = vec![yes(ConditionType::Accepted), yes(ConditionType::Programmed)];
    Arc::new(GatewayStatus {
        addresses: vec![],
        conditions,
        listeners: vec![listener("a"), listener("b")],
        attached_listener_sets: 0,
    })
}

fn says(conditions: &[Condition], kind: ConditionType) -> (bool, Reason) {
    let condition = conditions.iter().find(|c| c.kind == kind).unwrap();
    (condition.is_true(), condition.reason)
}

fn overlay(facts: &Facts) -> Arc<GatewayStatus> {
    gateway(
        &planned(),
        &Key::new("shop", "edge"),
        facts,
        &Ports::from([("a", (80, Transport::Tcp)), ("b", (443, Transport::Tcp))]),
    )
}

fn progress(unbound: &[(&str, &str)], rejected: &[ResourceId]) -> GatewayProgress {
    let proxy = ProxyProgress {
        acked: 1,
        unbound: unbound.iter().map(|(socket, why)| ((*socket).to_owned(), (*why).to_owned())).collect(),
        rejected: rejected.iter().map(|id| (id.clone(), "bad".to_owned())).collect(),
        ..Default::default()
    };
    GatewayProgress { proxies: BTreeMap::from([("p0".into(), ProxyProgress::default()), ("p1".into(), proxy)]) }
}

#[test]
fn without_facts_the_plan_is_shared() {
    let status = planned();
    assert!(Arc::ptr_eq(&status, &gateway(&status, &Key::new("shop", "edge"), &Facts::default(), &Ports::new())));
}

#[test]
fn pending_reaches_gateway_and_listeners_but_never_accepted() {
    let status = overlay(&Facts { pending: Some("why".into()), ..Facts::default() });
    assert_eq!(says(&status.conditions, ConditionType::Programmed), (false, Reason::Pending));
    assert_eq!(says(&status.conditions, ConditionType::Accepted), (true, Reason::Accepted));
    for listener in &status.listeners {
        assert_eq!(says(&listener.conditions, ConditionType::Programmed), (false, Reason::Pending));
        assert_eq!(says(&listener.conditions, ConditionType::Accepted), (true, Reason::Accepted));
    }
}

fn obstacle(programmed: Reason, blocks: bool) -> Obstacle {
    let message = "Deployment fairlead-edge: Forbidden: no; allow it".into();
    Obstacle { reason: "Forbidden", programmed, blocks, message }
}

#[test]
fn what_keeps_proxies_from_being_made_is_why_the_gateway_is_not_programmed() {
    let facts = Facts::of(Some("No proxy is connected".into()), None, &[obstacle(Reason::NoResources, false)]);
    let status = overlay(&facts);
    assert_eq!(says(&status.conditions, ConditionType::Programmed), (false, Reason::NoResources));
    let message = &status.conditions[1].message;
    assert_eq!(&**message, "No proxy is connected: Deployment fairlead-edge: Forbidden: no; allow it");
    assert_eq!(says(&status.listeners[0].conditions, ConditionType::Programmed), (false, Reason::Pending));
}

#[test]
fn a_gateway_that_is_served_stays_programmed_and_tells_what_is_wrong() {
    let served = progress(&[], &[]);
    let status = overlay(&Facts::of(None, Some(&served), &[obstacle(Reason::NoResources, false)]));
    assert!(says(&status.conditions, ConditionType::Programmed).0);
    assert!(
        status.conditions[1]
            .message
            .ends_with("not as it should be: Deployment fairlead-edge: Forbidden: no; allow it")
    );
    assert!(says(&status.listeners[0].conditions, ConditionType::Programmed).0);
    // Without a Service nobody gets in, whoever serves.
    let status = overlay(&Facts::of(None, Some(&served), &[obstacle(Reason::Invalid, true)]));
    assert_eq!(says(&status.conditions, ConditionType::Programmed), (false, Reason::Invalid));
}

#[test]
fn a_udp_socket_is_no_tcp_socket_of_the_same_port() {
    let ports = Ports::from([("a", (53, Transport::Tcp)), ("b", (53, Transport::Udp))]);
    let unprogrammed = |socket: &str| {
        let facts = Facts::of(None, Some(&progress(&[(socket, "in use")], &[])), &[]);
        let status = gateway(&planned(), &Key::new("shop", "edge"), &facts, &ports);
        let names = status.listeners.iter().filter(|l| !says(&l.conditions, ConditionType::Programmed).0);
        names.map(|listener| listener.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(unprogrammed("53"), ["a"]);
    assert_eq!(unprogrammed("53/udp"), ["b"]);
    assert_eq!(unprogrammed("[::1]:53/udp"), ["b"]);
    assert_eq!(unprogrammed("192.0.2.1:53"), ["a"]);
}

#[test]
fn an_unbound_socket_takes_its_listener_and_the_last_one_the_gateway() {
    let one = overlay(&Facts::of(None, Some(&progress(&[("[::]:80", "in use")], &[])), &[]));
    assert_eq!(says(&one.listeners[0].conditions, ConditionType::Programmed), (false, Reason::PortUnavailable));
    assert!(one.listeners[0].conditions[1].message.contains("1 of 2 proxies can't open its socket: p1: in use"));
    assert!(says(&one.listeners[1].conditions, ConditionType::Programmed).0);
    assert!(says(&one.conditions, ConditionType::Programmed).0);
    let both = overlay(&Facts::of(None, Some(&progress(&[("80", "in use"), ("443", "in use")], &[])), &[]));
    assert_eq!(says(&both.conditions, ConditionType::Programmed), (false, Reason::AddressNotUsable));
}

#[test]
fn a_refused_listener_is_not_programmed() {
    let status =
        overlay(&Facts::of(None, Some(&progress(&[], &[ResourceId::Listener("gateway/shop/edge/b".into())])), &[]));
    assert!(says(&status.listeners[0].conditions, ConditionType::Programmed).0);
    assert_eq!(says(&status.listeners[1].conditions, ConditionType::Programmed), (false, Reason::Invalid));
}

#[test]
fn a_listener_set_follows_its_gateway() {
    let planned = Arc::new(ListenerSetStatus {
        conditions: vec![yes(ConditionType::Programmed)],
        listeners: planned().listeners.clone(),
    });
    let facts = Facts { pending: Some("why".into()), ..Facts::default() };
    let status = listener_set(&planned, &Key::new("shop", "set"), "shop/edge", &facts, &Ports::new());
    assert_eq!(says(&status.conditions, ConditionType::Programmed), (false, Reason::ParentNotProgrammed));
    assert_eq!(says(&status.listeners[0].conditions, ConditionType::Programmed), (false, Reason::Pending));
}

#[test]
fn a_refused_rule_falls_back_and_the_route_stays_accepted() {
    let parent = ParentStatus {
        parent_ref: Default::default(),
        controller_name: "c".into(),
        conditions: vec![yes(ConditionType::Accepted)],
    };
    let planned = Arc::new(RouteStatus { parents: vec![parent.clone(), parent] });
    let rejected =
        [ResourceId::Route("httproute/shop/cart/2~secret".into()), ResourceId::Route("httproute/shop/cart-2/0".into())];
    let facts = Facts::of(None, Some(&progress(&[], &rejected)), &[]);
    let status = route(&planned, || "httproute/shop/cart/".to_owned(), &[Some(&facts), None]);
    let conditions = &status.parents[0].conditions;
    assert!(says(conditions, ConditionType::Accepted).0);
    assert!(says(conditions, ConditionType::PartiallyInvalid).0);
    assert!(
        conditions[1].message.starts_with("Fall Back")
            && conditions[1].message.contains("spec.rules[2]: 1 of 2 proxies")
    );
    assert_eq!(conditions[1].observed_generation, Some(4));
    assert_eq!(status.parents[1], planned.parents[1]);
    let other = route(&planned, || "httproute/shop/car/".to_owned(), &[Some(&facts), None]);
    assert!(Arc::ptr_eq(&other, &planned));
}

#[test]
fn an_xbackend_whose_pods_cannot_be_found_says_so() {
    let ancestor_ref = fairlead_crds::gateway::ParentReference { name: "edge".into(), ..Default::default() };
    let conditions = vec![yes(ConditionType::Accepted), yes(ConditionType::ResolvedRefs)];
    let ancestor =
        AncestorStatus { ancestor_ref, controller_name: "fairlead.dev/gateway-controller".into(), conditions };
    let planned = Arc::new(PolicyStatus { ancestors: vec![ancestor] });
    let obstacle = |blocks| Obstacle {
        reason: "Forbidden",
        programmed: Reason::NoResources,
        blocks,
        message: "Service shop/x: Forbidden: no; allow it".into(),
    };
    assert!(Arc::ptr_eq(&xbackend(&planned, &[]), &planned));
    assert!(Arc::ptr_eq(&xbackend(&planned, &[obstacle(false)]), &planned), "what was made is still there");
    let status = xbackend(&planned, &[obstacle(true)]);
    let [ancestor] = &status.ancestors[..] else { panic!("one ancestor") };
    assert_eq!(says(&ancestor.conditions, ConditionType::Accepted), (true, Reason::Accepted));
    assert_eq!(says(&ancestor.conditions, ConditionType::ResolvedRefs), (false, Reason::NoResources));
    let message = "its pods can't be found: Service shop/x: Forbidden: no; allow it";
    assert_eq!(&*ancestor.conditions[1].message, message);
    assert_eq!(ancestor.conditions[1].observed_generation, Some(4));
}
