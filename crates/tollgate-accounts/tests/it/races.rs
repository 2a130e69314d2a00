//! Several processes on one database at the same moment.

use std::sync::Arc;

use sqlx::Row;
use tollgate_accounts::{
    Accounts, Credential, KeyError, LIVE_KEYS_MAX, LogInError, Lookup, NewKey, Outcome, UsageEvent,
};

use super::fixture::{Fixture, PASSWORD, connect};

impl Fixture {
    /// Keys of ann that this process knows from memory.
    pub(crate) async fn known_keys(&self, count: usize) -> Vec<NewKey> {
        let ann = self.accounts.user_by_name("ann").await;
        let ann = ann.expect("an answer").expect("ann");
        let mut keys = Vec::new();
        for _ in 0..count {
            let key = self.accounts.create_key(&ann.id, "", None, None).await;
            keys.push(key.expect("a key"));
        }
        self.accounts.poll_changes().await.expect("an answer");
        for key in &keys {
            let known = self.identify(Credential::ApiKey(key.secret.expose()));
            known.await.expect("known");
        }
        keys
    }

    /// How many of these keys this process would let pass from memory.
    pub(crate) fn believed(&self, keys: &[NewKey]) -> usize {
        let is_known = |key: &&NewKey| {
            let lookup = self.lookup(Credential::ApiKey(key.secret.expose()));
            matches!(lookup, Lookup::Known(_))
        };
        keys.iter().filter(is_known).count()
    }

    async fn other_processes<const N: usize>(&self) -> [Accounts; N] {
        let mut processes = Vec::new();
        for _ in 0..N {
            let process = self.other_process().await;
            connect(&process).await;
            processes.push(process);
        }
        processes.try_into().expect("as many")
    }
}

#[tokio::test]
async fn no_change_is_missed_however_many_processes_write_while_one_reads() {
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(LIVE_KEYS_MAX).await;
    let writers = fixture.other_processes::<2>().await;
    let mut revoking = tokio::task::JoinSet::new();
    // As many at a time as have connections: who waits for one waits two seconds at most.
    for place in 0..8 {
        let writer = writers[place % 2].clone();
        let ids: Vec<_> = keys.iter().map(|key| key.id.clone()).collect();
        revoking.spawn(async move {
            for id in ids.into_iter().skip(place).step_by(8) {
                writer.revoke_key(None, &id).await.unwrap();
            }
        });
    }
    while !revoking.is_empty() {
        fixture.accounts.poll_changes().await.unwrap();
        while let Some(done) = revoking.try_join_next() {
            done.unwrap();
        }
    }
    fixture.accounts.poll_changes().await.unwrap();
    assert_eq!(fixture.believed(&keys), 0);
}

#[tokio::test]
async fn of_keys_made_at_once_no_more_come_to_be_than_a_user_may_have() {
    let (fixture, ann) = Fixture::with_ann().await;
    fixture.known_keys(LIVE_KEYS_MAX - 2).await;
    let mut making = tokio::task::JoinSet::new();
    for process in fixture.other_processes::<2>().await {
        for _ in 0..6 {
            let (process, ann) = (process.clone(), ann.id.clone());
            making.spawn(async move { process.create_key(&ann, "", None, None).await });
        }
    }
    let mut made = 0;
    while let Some(one) = making.join_next().await {
        match one.unwrap() {
            Ok(_) => made += 1,
            Err(KeyError::TooMany { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(made, 2);
}

#[tokio::test]
async fn no_session_opened_with_the_old_password_is_left_when_it_has_changed() {
    let (fixture, _) = Fixture::with_ann().await;
    let [one, two] = fixture.other_processes().await;
    let mut password = PASSWORD.to_owned();
    for round in 0..8 {
        let next = format!("{PASSWORD} {round}");
        let log_in = async || one.log_in("ann", &password).await;
        let (first, second, changed) =
            tokio::join!(log_in(), log_in(), two.set_password("ann", &next));
        changed.unwrap();
        fixture.accounts.poll_changes().await.unwrap();
        for opened in [first, second] {
            match opened {
                Ok(log_in) => {
                    let session = Credential::Session(log_in.session_secret.expose());
                    assert!(fixture.identify(session).await.is_none(), "round {round}");
                }
                Err(error) => assert!(matches!(error, LogInError::Wrong), "{error}"),
            }
        }
        password = next;
    }
}

#[tokio::test]
async fn processes_that_count_the_same_rows_at_once_lose_nothing_and_fail_never() {
    const KEYS: usize = 40;
    const ROUNDS: usize = 5;
    let (fixture, _) = Fixture::with_ann().await;
    let keys = fixture.known_keys(KEYS).await;
    let processes = fixture.other_processes::<3>().await;
    let route = Arc::from("GET /limit");
    for _ in 0..ROUNDS {
        let mut writing = tokio::task::JoinSet::new();
        for process in &processes {
            for key in &keys {
                let presented = Credential::ApiKey(key.secret.expose());
                let who = super::fixture::identify(process, presented).await.unwrap();
                let event = UsageEvent::new(Some(&who), &route, Outcome::Allowed);
                process.usage().record(&event, fixture.now());
            }
        }
        for process in processes.clone() {
            writing.spawn(async move { process.usage().flush().await.unwrap() });
        }
        writing.join_all().await;
    }
    let rows = sqlx::query(r#"SELECT allowed FROM "usage""#)
        .fetch_all(&fixture.place.pool().await)
        .await
        .unwrap();
    let counts: Vec<i64> = rows.iter().map(|row| row.get("allowed")).collect();
    assert_eq!(counts, [(ROUNDS * 3) as i64; KEYS]);
}
