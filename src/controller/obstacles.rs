//! What is wrong with the objects of a Gateway's proxies, told at the Gateway.

use fairlead_fleet::{Problem, ProblemReason, Problems};
use fairlead_status::{Obstacle, Obstacles, Writer};
use fairlead_translate::fleet::ObjectKind;
use fairlead_translate::status::Reason;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Tells all problems as they come and go.
pub async fn tell(mut problems: watch::Receiver<Problems>, writer: Writer) {
    while problems.changed().await.is_ok() {
        let now = problems.borrow_and_update().clone();
        writer.obstruct(obstacles(&now));
    }
}

fn obstacles(problems: &Problems) -> Obstacles {
    let each = problems.iter().map(|(gateway, problems)| (gateway.clone(), problems.iter().map(obstacle).collect()));
    Arc::new(each.collect::<BTreeMap<_, Vec<Obstacle>>>())
}

fn obstacle(problem: &Problem) -> Obstacle {
    Obstacle {
        reason: problem.reason.as_str(),
        programmed: match problem.reason {
            ProblemReason::Invalid => Reason::Invalid,
            ProblemReason::Unavailable => Reason::Pending,
            _ => Reason::NoResources,
        },
        // Proxies are reached through the Service. One that can't be changed while the API server is away is still there.
        blocks: problem.kind == ObjectKind::Service && problem.reason != ProblemReason::Unavailable,
        message: format!("{problem}; {}", problem.advice()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fairlead_store::Key;

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let problem = |kind, reason| Problem { kind, name: "fairlead-web".into(), reason, message: "no".into() };
        let all = vec![
            problem(ObjectKind::Deployment, ProblemReason::Forbidden),
            problem(ObjectKind::Service, ProblemReason::Invalid),
            problem(ObjectKind::Service, ProblemReason::Unavailable),
        ];
        let told = obstacles(&Arc::new(BTreeMap::from([(Key::new("shop", "web"), all)])));
        let [forbidden, invalid, away] = told[&Key::new("shop", "web")].as_slice() else { panic!("{told:?}") };
        assert_eq!(
            (forbidden.reason, forbidden.programmed, forbidden.blocks),
            ("Forbidden", Reason::NoResources, false)
        );
        assert!(forbidden.message.starts_with("Deployment fairlead-web: Forbidden: no; let the controller's"));
        assert!(forbidden.message.contains("deployments.apps"));
        assert_eq!((invalid.programmed, invalid.blocks), (Reason::Invalid, true));
        assert_eq!((away.programmed, away.blocks), (Reason::Pending, false));
    }
}
