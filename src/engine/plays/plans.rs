//! What a user may have is asked in the user's own turn, from wherever, and survives a restart.

use std::time::Duration;

use iris_core::task::Finish;
use iris_core::{Ask, AskAnswer, BareJid};

use crate::testing::House;

const PLANS: &str = "[plans]\ndomains = { \"away\" = \"essential\" }\n";

/// As a task of the domain `house` sees it.
fn members(house: &mut House, account: &str) -> Option<u32> {
    let account = BareJid::new(account).expect("a bare JID");
    let seen = std::sync::Arc::new(std::sync::Mutex::new(None));
    let slot = seen.clone();
    house.host("house", move |turn| {
        turn.spawn(move |cx| {
            Box::pin(async move {
                let plan = cx.plan(account).await.expect("an answer");
                *slot.lock().expect("the plan") = Some(plan.map(|plan| plan.bubble_members_max));
                Finish::Done
            })
        });
    });
    let seen = seen.lock().expect("the plan").take();
    seen.expect("the task has ended")
}

#[test]
fn a_user_has_the_plan_of_the_account_or_of_the_domain() {
    let mut house = House::with_config(&[], PLANS);
    for user in ["romeo@house", "juliet@house", "paris@away"] {
        house.user(user);
    }
    assert_eq!(members(&mut house, "romeo@house"), Some(300));
    assert_eq!(members(&mut house, "paris@away"), Some(20));
    assert_eq!(members(&mut house, "nobody@house"), None);
    for (user, plan) in [("romeo@house", "business"), ("paris@away", "business"), ("juliet@house", "of yesterday")] {
        assert_eq!(house.ask(user, Ask::SetPlan(Some(plan.into()))), Some(AskAnswer::Done));
    }
    assert_eq!(house.ask("nobody@house", Ask::SetPlan(None)), Some(AskAnswer::NotFound));
    let mut house = house.restart(&[], Duration::from_secs(1));
    assert_eq!(members(&mut house, "romeo@house"), Some(100));
    assert_eq!(members(&mut house, "paris@away"), Some(100));
    assert_eq!(members(&mut house, "juliet@house"), Some(300), "a plan that is none any more");
    house.ask("romeo@house", Ask::SetPlan(None));
    assert_eq!(members(&mut house, "romeo@house"), Some(300));
    let Some(AskAnswer::Account(facts)) = house.ask("paris@away", Ask::Account) else { panic!("no facts") };
    assert_eq!(facts.plan.as_deref(), Some("business"));
}
