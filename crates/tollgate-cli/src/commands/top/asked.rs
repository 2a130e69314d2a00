//! One question to a running gateway, and its answer.

use std::path::{Path, PathBuf};

use http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::events::{Events, SILENCE_MAX, silent};
use crate::admin_client;
use crate::failure::Failure;
use crate::plain::Plain;

/// How many callers are asked for, and how many heavy hitters of each list.
const CALLERS_ASKED: usize = 500;
const HEAVY_ASKED: usize = 100;

/// What the gateway says, or why it says nothing of that.
pub(super) type Answer = Result<String, String>;

/// A gateway, by its data directory.
pub(super) struct Asked {
    data: PathBuf,
}

impl Asked {
    pub(super) fn new(data: &Path) -> Self {
        Asked {
            data: data.to_owned(),
        }
    }

    /// Everything at this instant.
    pub(super) async fn overview(&self) -> Result<String, Failure> {
        let answer = self.ask("/monitor/overview").await?;
        answer.map_err(Failure::Failed)
    }

    pub(super) async fn callers(&self, order: &str) -> Result<Answer, Failure> {
        self.ask(&format!("/monitor/keys?sort={order}&limit={CALLERS_ASKED}"))
            .await
    }

    pub(super) async fn heavy(&self) -> Result<Answer, Failure> {
        self.ask(&format!("/monitor/heavy?limit={HEAVY_ASKED}"))
            .await
    }

    /// The stream of events; `None` if all places for streams are taken.
    pub(super) async fn live(&self) -> Result<Option<Events>, Failure> {
        let live = admin_client::open(&self.data, Method::GET, "/monitor/live", None);
        let live = timeout(SILENCE_MAX, live).await.map_err(|_| silent())??;
        let is_full = live.status() == StatusCode::SERVICE_UNAVAILABLE;
        Ok((!is_full).then(|| Events::new(live)))
    }

    /// Reads an answer.
    pub(super) fn read<T: DeserializeOwned>(answer: &str) -> Result<T, Failure> {
        serde_json::from_str(answer)
            .map_err(|error| Failure::because("the gateway's answer cannot be read", &error))
    }

    /// Reads an answer for a table, which may be that there is none.
    pub(super) fn table<T: DeserializeOwned>(answer: &Answer) -> Result<Result<T, Plain>, Failure> {
        match answer {
            Ok(answer) => Self::read(answer).map(Ok),
            Err(why) => Ok(Err(Plain::new(why))),
        }
    }

    async fn ask(&self, target: &str) -> Result<Answer, Failure> {
        let (status, answer) = admin_client::fetch(&self.data, target).await?;
        Ok(match status.is_success() {
            true => Ok(answer),
            // What could be done about it may follow.
            false => Err(answer.lines().next().unwrap_or_default().to_owned()),
        })
    }
}
