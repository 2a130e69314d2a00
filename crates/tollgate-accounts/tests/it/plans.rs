//! Plans, and who has them.

use tollgate_accounts::{PLANS_MAX, PlanError, Scope};

use super::fixture::{Fixture, in_force};

#[tokio::test]
async fn a_plan_is_listed_with_its_users_and_quotas() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    for plan in ["pro", "Free", "free"] {
        accounts.create_plan(plan).await.unwrap();
    }
    accounts.set_plan("ANN", Some("pro")).await.unwrap();
    let pro = Scope::Plan("pro".to_owned());
    for (limit, quotas) in [("per-user", "20 per second"), ("per-day", "unlimited")] {
        accounts.set_quotas(&pro, limit, quotas).await.unwrap();
    }
    let listed = accounts.list_plans().await.unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|plan| (&*plan.name, plan.users))
        .collect();
    assert_eq!(names, [("Free", 0), ("free", 0), ("pro", 1)]);
    let limits: Vec<_> = listed[2].limits.iter().collect();
    assert_eq!(
        format!("{limits:?}"),
        r#"[("per-day", "unlimited"), ("per-user", "20 per second")]"#
    );
    let users = accounts.list_users().await.unwrap();
    assert_eq!(users[0].plan.as_deref(), Some("pro"));
}

#[tokio::test]
async fn a_plan_that_users_have_is_not_deleted_and_a_deleted_one_leaves_nothing_behind() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    accounts.create_plan("pro").await.unwrap();
    let pro = Scope::Plan("pro".to_owned());
    accounts
        .set_quotas(&pro, "per-user", "9 per day")
        .await
        .unwrap();
    accounts.set_plan("ann", Some("pro")).await.unwrap();
    let refused = accounts.delete_plan("pro").await;
    assert!(matches!(refused, Err(PlanError::InUse { users: 1 })));
    accounts.set_plan("ann", None).await.unwrap();
    accounts.delete_plan("pro").await.unwrap();
    assert!(accounts.list_plans().await.unwrap().is_empty());
    accounts.create_plan("pro").await.unwrap();
    accounts.set_plan("ann", Some("pro")).await.unwrap();
    let log_in = fixture.log_in().await;
    let session = tollgate_accounts::Credential::Session(log_in.session_secret.expose());
    let ann = fixture.identify(session).await.unwrap();
    assert_eq!(ann.terms.plan.as_deref(), Some("pro"));
    assert_eq!(in_force(accounts, "per-user", Some(&ann)), None);
}

#[tokio::test]
async fn names_that_no_plan_can_have_are_refused_and_never_found() {
    let (fixture, _) = Fixture::with_ann().await;
    let accounts = &fixture.accounts;
    let long = "p".repeat(65);
    for name in [
        "", "1st", "a b", "pro ", "a/b", "..", "\u{e9}", "a\0", &long,
    ] {
        let refused = accounts.create_plan(name).await;
        assert!(matches!(refused, Err(PlanError::Invalid(_))), "{name:?}");
        let refused = accounts.delete_plan(name).await;
        assert!(matches!(refused, Err(PlanError::NoSuchPlan)), "{name:?}");
        let refused = accounts.set_plan("ann", Some(name)).await;
        assert!(matches!(refused, Err(PlanError::NoSuchPlan)), "{name:?}");
    }
    accounts.create_plan(&long[1..]).await.unwrap();
    let again = accounts.create_plan(&long[1..]).await;
    assert!(matches!(again, Err(PlanError::Taken)));
    let nobody = accounts.set_plan("nobody", None).await;
    assert!(matches!(nobody, Err(PlanError::NoSuchUser)));
}

#[tokio::test]
async fn there_are_no_more_plans_than_there_may_be() {
    let fixture = Fixture::new().await;
    let pool = fixture.place.pool().await;
    for number in 0..PLANS_MAX {
        let sql = format!("INSERT INTO plans (name, created_at) VALUES ('p{number}', 0)");
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let refused = fixture.accounts.create_plan("one-more").await;
    assert!(matches!(refused, Err(PlanError::TooMany { .. })));
    assert_eq!(
        fixture.accounts.list_plans().await.unwrap().len(),
        PLANS_MAX
    );
}
