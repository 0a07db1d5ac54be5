use crate::{Chain, Mirror};
use fairlead_ir::{self as ir, Filter, Fraction};

fn mirror(numerator: u32, denominator: u32) -> Filter {
    Filter::Mirror(ir::Mirror { cluster: "service/a/b/80".into(), fraction: Fraction { numerator, denominator } })
}

fn compiled(numerator: u32, denominator: u32) -> Mirror {
    Chain::compile(&[mirror(numerator, denominator)]).unwrap().mirrors()[0].clone()
}

#[test]
fn all_and_none() {
    for (numerator, denominator) in [(1, 1), (100, 100), (5, 3), (u32::MAX, 1)] {
        assert!(compiled(numerator, denominator).draws(u64::MAX), "{numerator}/{denominator}");
        assert!(compiled(numerator, denominator).draws(0));
    }
    assert!(!compiled(0, 100).draws(0));
}

#[test]
fn shares() {
    let mut random = fastrand::Rng::with_seed(3);
    for (numerator, denominator, expected) in [(20, 100, 20_000), (1, 2, 50_000), (35, 100, 35_000), (1, u32::MAX, 0)] {
        let mirror = compiled(numerator, denominator);
        let drawn: u32 = (0..100_000).map(|_| u32::from(mirror.draws(random.u64(..)))).sum();
        assert!(drawn.abs_diff(expected) < 700, "{numerator}/{denominator}: {drawn}");
    }
}

#[test]
fn mirrors_act_on_no_head() {
    let chain = Chain::compile(&[mirror(1, 1), mirror(1, 2)]).unwrap();
    assert!(chain.is_empty());
    assert_eq!(chain.mirrors().len(), 2);
    assert_eq!(&**chain.mirrors()[0].cluster(), "service/a/b/80");
    assert_eq!(Chain::compile(&[mirror(1, 0)]).unwrap_err().field, "filters[0].fraction.denominator");
}
