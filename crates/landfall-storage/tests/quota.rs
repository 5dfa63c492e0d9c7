//! The quota wrapper: the conformance kit inside a wide limit, and exact judgement close to a narrow one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests may stop at the first surprise"
)]

use async_trait::async_trait;
use landfall_storage::{
    Capability, Delta, ErrorKind, QuotaStorage, Result, Revision, Storage, StoredRow, StoredState,
    conformance::{Place, block_on, poll_once},
    storage_conformance,
};
use landfall_storage_memory::MemoryStorage;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

storage_conformance!(limited: || Place::of_clones(QuotaStorage::new(MemoryStorage::new(), 1 << 40)));
storage_conformance!(unlimited: || Place::of_clones(QuotaStorage::unlimited(MemoryStorage::new())));

/// A memory that counts loads and gives every other task a turn before it commits.
#[derive(Clone, Debug, Default)]
struct Counting {
    memory: MemoryStorage,
    loads: Arc<AtomicUsize>,
}

#[async_trait]
impl Storage for Counting {
    async fn load(&self, key: &str) -> Result<StoredState> {
        self.loads.fetch_add(1, SeqCst);
        self.memory.load(key).await
    }
    async fn commit(&self, key: &str, expected: Revision, delta: Delta) -> Result<Revision> {
        let mut waited = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.memory.commit(key, expected, delta).await
    }
    async fn remove(&self, key: &str) -> Result<()> {
        self.memory.remove(key).await
    }
    async fn keys(&self) -> Result<Vec<String>> {
        self.memory.keys().await
    }
    async fn usage(&self, key: Option<&str>) -> Result<u64> {
        self.memory.usage(key).await
    }
    fn capability(&self) -> Capability {
        self.memory.capability().limit(Some(1 << 30))
    }
}

fn row(id: u64, length: usize) -> StoredRow {
    StoredRow { id, order: id, state: None, record: "r".repeat(length).into(), change: None }
}

fn put(rows: impl IntoIterator<Item = StoredRow>) -> Delta {
    Delta { put: rows.into_iter().collect(), ..Delta::default() }
}

fn refused(result: Result<Revision>) -> (u64, u64, u64) {
    match *result.unwrap_err().kind() {
        ErrorKind::QuotaExceeded { used, limit, needed } => (used, limit, needed),
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn the_limit_is_exact_and_a_refusal_changes_nothing() {
    let storage = QuotaStorage::new(Counting::default(), 100);
    block_on(async {
        assert_eq!(storage.commit("a", 0, put([row(1, 60)])).await.unwrap(), 1);
        assert_eq!(storage.commit("b", 0, put([row(1, 40)])).await.unwrap(), 1, "up to the last byte");
        let before = storage.load("a").await.unwrap();
        assert_eq!(refused(storage.commit("a", 1, put([row(2, 1)])).await), (100, 100, 101));
        assert_eq!(refused(storage.commit("c", 0, put([row(1, 1)])).await), (100, 100, 101));
        assert_eq!(storage.load("a").await.unwrap(), before);
        assert_eq!(storage.keys().await.unwrap(), ["a", "b"]);
        // Replacing counts what is replaced.
        assert_eq!(storage.commit("a", 1, put([row(1, 60)])).await.unwrap(), 2);
        assert_eq!(storage.commit("a", 2, put([row(1, 50), row(2, 10)])).await.unwrap(), 3);
        assert_eq!(refused(storage.commit("a", 3, put([row(1, 50), row(2, 11)])).await), (100, 100, 101));
        let swap = Delta { delete: vec![1], ..put([row(3, 50)]) };
        assert_eq!(storage.commit("a", 3, swap).await.unwrap(), 4);
        let fresh = Delta { clear: true, meta: Some("m".repeat(20).into()), ..put([row(9, 40)]) };
        assert_eq!(storage.commit("a", 4, fresh).await.unwrap(), 5);
        assert_eq!(storage.usage(None).await.unwrap(), 100);
        assert_eq!(
            refused(storage.commit("a", 5, Delta { meta: Some("m".repeat(21).into()), ..Delta::default() }).await).2,
            101
        );
        storage.remove("b").await.unwrap();
        assert_eq!(storage.commit("a", 5, put([row(2, 40)])).await.unwrap(), 6, "removal makes room");
    });
}

#[test]
fn shrinking_is_allowed_while_the_limit_is_exceeded() {
    let inner = Counting::default();
    block_on(async {
        inner.commit("a", 0, put([row(1, 500), row(2, 500)])).await.unwrap();
        let storage = QuotaStorage::new(inner.clone(), 100);
        assert_eq!(storage.commit("a", 1, Delta { delete: vec![1], ..Delta::default() }).await.unwrap(), 2);
        assert_eq!(storage.commit("a", 2, put([row(2, 500)])).await.unwrap(), 3, "as long as before");
        assert_eq!(storage.commit("a", 3, put([row(2, 499)])).await.unwrap(), 4);
        assert_eq!(refused(storage.commit("a", 4, put([row(2, 500)])).await), (499, 100, 500));
        assert_eq!(storage.commit("a", 4, Delta { clear: true, ..put([row(1, 80)]) }).await.unwrap(), 5);
        assert_eq!(storage.commit("b", 0, put([row(1, 20)])).await.unwrap(), 1);
        assert_eq!(storage.commit("b", 1, Delta::default()).await.unwrap(), 2, "an empty delta needs no room");
    });
}

#[test]
fn a_stale_commit_is_stale_and_not_too_big() {
    let storage = QuotaStorage::new(Counting::default(), 100);
    block_on(async {
        storage.commit("a", 0, put([row(1, 90)])).await.unwrap();
        let error = storage.commit("a", 0, put([row(2, 50)])).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Stale { current: 1 });
        assert_eq!(storage.commit("", 0, put([row(2, 500)])).await.unwrap_err().kind(), &ErrorKind::Config);
    });
}

#[test]
fn nothing_is_reloaded_while_there_is_room_and_once_when_there_is_little() {
    let inner = Counting::default();
    let storage = QuotaStorage::new(inner.clone(), 2_000);
    block_on(async {
        for step in 0..50 {
            storage.commit("a", step, put([row(step, 20)])).await.unwrap();
        }
        assert_eq!(inner.loads.load(SeqCst), 0);
        // 1,000 bytes in use; from here on each commit replaces a row of 20 by one of 40.
        for step in 50..100 {
            storage.commit("a", step, put([row(step - 50, 40)])).await.unwrap();
        }
        assert_eq!(storage.usage(None).await.unwrap(), 2_000);
        for step in 100..150 {
            storage.commit("a", step, put([row(step - 100, 40)])).await.unwrap();
            refused(storage.commit("a", step + 1, put([row(step - 100, 41)])).await);
        }
        assert_eq!(inner.loads.load(SeqCst), 1, "one load fills the cache");
    });
}

#[test]
fn what_other_handles_write_is_counted() {
    let inner = Counting::default();
    let storage = QuotaStorage::new(inner.clone(), 100);
    block_on(async {
        storage.commit("a", 0, put([row(1, 90)])).await.unwrap();
        storage.commit("a", 1, put([row(1, 80)])).await.unwrap();
        refused(storage.commit("a", 2, put([row(1, 101)])).await);
        // Another handle swaps the state for another one that has the same revision.
        inner.remove("a").await.unwrap();
        inner.commit("a", 0, put([row(7, 10)])).await.unwrap();
        inner.commit("a", 1, put([row(1, 20)])).await.unwrap();
        assert_eq!(refused(storage.commit("a", 2, put([row(1, 91)])).await), (30, 100, 101));
        storage.commit("a", 2, put([row(1, 90)])).await.unwrap();
        inner.commit("b", 0, put([row(1, 50)])).await.unwrap();
        assert_eq!(refused(storage.commit("a", 3, put([row(1, 91)])).await), (150, 100, 151));
    });
}

#[test]
fn commits_that_overlap_do_not_exceed_the_limit_together() {
    let storage = QuotaStorage::new(Counting::default(), 100);
    let clones: Vec<_> = (0..8).map(|_| storage.clone()).collect();
    let keys: Vec<String> = (0..8).map(|n| format!("key {n}")).collect();
    let mut commits: Vec<_> =
        clones.iter().zip(&keys).map(|(clone, key)| Some(clone.commit(key, 0, put([row(1, 30)])))).collect();
    let mut results = Vec::new();
    while results.len() < commits.len() {
        for commit in &mut commits {
            if let Some(future) = commit
                && let Some(result) = poll_once(future.as_mut())
            {
                results.push(result);
                *commit = None;
            }
        }
    }
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 3, "{results:?}");
    assert_eq!(block_on(storage.usage(None)).unwrap(), 90);
}

#[test]
fn a_dropped_commit_gives_its_room_back() {
    let storage = QuotaStorage::new(Counting::default(), 100);
    for _ in 0..10 {
        let mut commit = storage.commit("a", 0, put([row(1, 90)]));
        assert!(poll_once(commit.as_mut()).is_none());
    }
    assert_eq!(block_on(storage.commit("a", 0, put([row(1, 100)]))).unwrap(), 1);
}

#[test]
fn random_commits_are_judged_as_by_a_full_count() {
    let mut seed = 7_u64;
    let mut below = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % limit
    };
    let inner = Counting::default();
    let storage = QuotaStorage::new(inner.clone(), 1_000);
    let mut models = [StoredState::default(), StoredState::default()];
    let (mut accepted, mut rejected) = (0, 0);
    for _ in 0..2_000 {
        let n = usize::try_from(below(2)).unwrap();
        let mut rows: Vec<_> = (0..below(4)).map(|_| row(below(12), usize::try_from(below(120)).unwrap())).collect();
        rows.sort_by_key(|row| row.id);
        rows.dedup_by_key(|row| row.id);
        let delta = Delta {
            clear: below(30) == 0,
            delete: (0..below(3)).map(|_| below(14)).collect(),
            put: rows,
            meta: (below(6) == 0).then(|| "m".repeat(usize::try_from(below(90)).unwrap()).into()),
        };
        let used: u64 = models.iter().map(StoredState::size).sum();
        let mut after = models[n].clone();
        after.apply(&delta, models[n].revision + 1);
        let needed = used - models[n].size() + after.size();
        let key = ["a", "b"][n];
        // Now and then by a handle that bypasses the limit's books, as another process would.
        let fits = needed <= 1_000 || after.size() <= models[n].size();
        let result = if fits && below(5) == 0 {
            block_on(inner.commit(key, models[n].revision, delta))
        } else {
            block_on(storage.commit(key, models[n].revision, delta))
        };
        if fits {
            assert_eq!(result.unwrap(), after.revision);
            models[n] = after;
            accepted += 1;
        } else {
            assert_eq!(refused(result), (used, 1_000, needed));
            rejected += 1;
        }
        assert_eq!(block_on(storage.load(key)).unwrap(), models[n]);
    }
    assert!(accepted > 200 && rejected > 200, "{accepted} accepted, {rejected} refused");
}

#[test]
fn the_preset_and_the_capability() {
    let storage = QuotaStorage::like_local_storage(MemoryStorage::new());
    assert_eq!(storage.limit(), Some(5 * 1024 * 1024));
    assert_eq!(storage.capability().limit, Some(5 * 1024 * 1024));
    assert!(storage.capability().atomic, "the rest is the inner storage's");
    assert_eq!(QuotaStorage::unlimited(MemoryStorage::new()).capability().limit, None);
    assert_eq!(QuotaStorage::new(Counting::default(), 1 << 40).capability().limit, Some(1 << 30), "the smaller one");
    assert_eq!(QuotaStorage::unlimited(Counting::default()).capability().limit, Some(1 << 30));
}
