use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::super::model::{Model, Update};
use super::super::reading::Store;
use super::super::sample::{event, full, overview};
use super::super::view::{Action, Listed};
use super::*;
use crate::plain::Plain;

fn drawn(view: &mut View, (width, height): (u16, u16), colours: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let drawn = terminal.draw(|frame| draw(frame, view, Palette { colours }));
    drawn.unwrap();
    terminal.backend().buffer().clone()
}

/// The lines as they stand there, without blanks at their ends.
fn lines(view: &mut View, size: (u16, u16)) -> Vec<String> {
    let shown = drawn(view, size, true);
    let rows = shown.content().chunks(usize::from(size.0));
    let line = |row: &[ratatui::buffer::Cell]| {
        let mut line = String::new();
        let mut cells = row.iter();
        while let Some(cell) = cells.next() {
            line.push_str(cell.symbol());
            // A wide character hides the cell behind it.
            if width_of(cell.symbol()) == 2 {
                cells.next();
            }
        }
        line.trim_end().to_owned()
    };
    rows.map(line).collect()
}

const SUMMARY: [&str; 11] = [
    " Tollgate  2027-01-15 08:00:10 UTC",
    " requests           per s    peak since start  last 5 minutes",
    " allowed              299     299         299  ▁▁▁▁▂▂▂▃▃▃▃▄▄▄▄▅▅▅▆▆▆▆▇▇▇▇████",
    " denied                74      74          74  ▁▁▁▁▂▂▂▂▃▃▃▄▄▄▄▅▅▅▆▆▆▆▇▇▇▇████",
    " unauthenticated        3       3           3  ██████████████████████████████",
    " refused                0       0           0",
    " failed                 0       0           0",
    " latency, last s   p50 500 us   p95 2.5 ms   p99 -",
    " latency, all      p50 500 us   p95 2.5 ms   p99 -         12 connections",
    " counters          1,234 keys  3.2 MiB  0 evicted alive  0 without room",
    " accounts          database up  usage: 7 waiting, 0 dropped",
];

#[test]
fn everything_fits_on_the_smallest_screen() {
    let mut view = View::new(full());
    let shown = lines(&mut view, (80, 24));
    assert_eq!(shown[..11], SUMMARY);
    let routes = [
        "[1 Routes] 2 API keys  3 Top callers   sorted by requests/s",
        " route                  req/s denied/s allowed  denied no auth  failed      p95",
        " GET /limit                 1        0     299      74       3       0   2.5 ms",
        " POST /login                0        0       2       0       3       0   2.5 ms",
        " (no route)                 0        0       0       0       3       0   2.5 ms",
        "",
    ];
    assert_eq!(shown[11..17], routes);
    let foot = " q quit  Tab or 1-3 table  s sort  arrows scroll  p pause  ? help      1-3 of 3";
    assert_eq!((shown.len(), shown[23].as_str()), (24, foot));

    view.act(Action::Next);
    let callers = [
        " 1 Routes [2 API keys] 3 Top callers   sorted by rate",
        " user / key           now/s 1 min/s 5 min/s allowed  denied     left  last seen",
        " bob\u{fffd}[2J / 漢字\u{fffd}          3     250     125   1,000  12,345 no limit      never",
        " ann / ci                 3     1.5     0.8   1,000       0       10    3 s ago",
        " (the first 2 of 1,000 keys)",
    ];
    assert_eq!(lines(&mut view, (80, 24))[11..16], callers);

    view.act(Action::Next);
    let heavy = [
        " 1 Routes  2 API keys [3 Top callers]  sorted by allowed",
        " caller, in 5 to 10 minutes       allowed  off by  share  denied  off by  share",
        " ann / ci                             600       2   60 %       -       -      -",
        " address 192.0.2.1                    400       0   40 %      10       0  100 %",
    ];
    assert_eq!(lines(&mut view, (80, 24))[11..15], heavy);
}

#[test]
fn a_larger_screen_has_longer_bars_and_wider_names() {
    let shown = lines(&mut View::new(full()), (120, 40));
    assert_eq!(shown.len(), 40);
    assert_eq!(
        shown[4],
        format!(
            " unauthenticated        3       3           3  {}",
            "█".repeat(60)
        )
    );
    assert_eq!(
        shown[13],
        " GET /limit                                                         1        0     299      74       3       0   2.5 ms"
    );
    assert!(shown[39].ends_with("1-3 of 3"), "{}", shown[39]);
}

#[test]
fn no_state_however_large_its_numbers_leaves_its_columns() {
    let mut overview = overview(u64::MAX);
    for traffic in overview
        .now
        .routes
        .iter_mut()
        .map(|route| &mut route.traffic)
    {
        (traffic.denied, traffic.latency_us.p95) = (u64::MAX, Some(u64::MAX));
    }
    overview.now.store = Store::Memory {
        keys: u64::MAX,
        memory_bytes: 1,
        live_evictions: 0,
        newcomers_without_room: 0,
    };
    overview.now.accounts.as_mut().unwrap().away_for_s = Some(u64::MAX);
    overview.now.accounts.as_mut().unwrap().usage_dropped = u64::MAX;
    let mut view = View::new(Model::new(overview));
    view.take(Update::Event(event(u64::MAX)));
    for size in [(80, 24), (120, 40), (1_000, 300)] {
        let shown = lines(&mut view, size);
        assert_eq!(shown.len(), usize::from(size.1));
        assert!(shown.last().unwrap().ends_with(" of 3"), "{shown:?}");
    }
}

#[test]
fn a_screen_that_is_too_small_says_so_at_any_size() {
    let mut view = View::new(full());
    assert_eq!(
        lines(&mut view, (79, 24))[..4],
        [
            "tollgate top needs 80 x 24.",
            "It has 79 x 24.",
            "q quits.",
            ""
        ]
    );
    assert_eq!(lines(&mut view, (80, 23))[1], "It has 80 x 23.");
    for size in [(1, 1), (3, 2), (80, 1), (1, 50)] {
        drawn(&mut view, size, true);
    }
}

#[test]
fn that_the_gateway_is_away_and_that_it_is_paused_is_said() {
    let mut view = View::new(full());
    view.act(Action::Pause);
    let paused = " Tollgate  2027-01-15 08:00:10 UTC   PAUSED, p goes on";
    assert_eq!(lines(&mut view, (80, 24))[0], paused);
    view.take(Update::Away(Plain::new(
        "no gateway is running with\u{7} the data directory",
    )));
    let away = " Tollgate  2027-01-15 08:00:10 UTC   AWAY, trying again: no gateway is running …";
    assert_eq!(lines(&mut view, (80, 24))[0], away);
}

#[test]
fn a_database_that_is_away_is_said_in_red() {
    let mut overview = overview(1);
    overview.now.accounts.as_mut().unwrap().away_for_s = Some(75);
    let mut view = View::new(Model::new(overview));
    let shown = lines(&mut view, (80, 24));
    assert_eq!(
        shown[10],
        " accounts          database away for 1 min  usage: 7 waiting, 0 dropped"
    );
    assert_eq!(drawn(&mut view, (80, 24), true)[(20, 10)].fg, Color::Red);
}

#[test]
fn a_shared_store_is_shown_with_its_round_trips_and_in_red_while_it_is_away() {
    let mut overview = overview(1);
    let store = |away_for_s| Store::Shared {
        away_for_s,
        round_trips: 12_345,
        round_trip_us: Some(230),
        errors: 2,
    };
    overview.now.store = store(None);
    let mut view = View::new(Model::new(overview.clone()));
    assert_eq!(
        lines(&mut view, (80, 24))[9],
        " counters          shared store up  12,345 round trips  230 us each  2 errors"
    );
    let is_red = |view: &mut View| drawn(view, (80, 24), true)[(20, 9)].fg == Color::Red;
    assert!(!is_red(&mut view));
    overview.now.store = store(Some(75));
    let mut view = View::new(Model::new(overview));
    assert!(lines(&mut view, (80, 24))[9].contains("shared store away for 1 min"));
    assert!(is_red(&mut view));
}

#[test]
fn without_colours_nothing_is_coloured_and_everything_is_said() {
    let mut view = View::new(full());
    view.take(Update::Away(Plain::new("gone")));
    let plain = drawn(&mut view, (80, 24), false);
    let is_plain =
        |cell: &ratatui::buffer::Cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset);
    assert!(plain.content().iter().all(is_plain));
    let coloured = drawn(&mut view, (80, 24), true);
    assert!(!coloured.content().iter().all(is_plain));
    let symbols = |buffer: &Buffer| -> Vec<String> {
        let cells = buffer.content().iter();
        cells.map(|cell| cell.symbol().to_owned()).collect()
    };
    assert_eq!(symbols(&plain), symbols(&coloured));
}

#[test]
fn scrolling_ends_with_the_last_row_and_comes_back_at_once() {
    let mut overview = overview(1);
    let route = overview.now.routes.remove(0);
    overview.now.routes = (0..25)
        .map(|number| {
            let mut route = route.clone();
            route.route = Plain::new(&format!("GET /{number:02}"));
            route
        })
        .collect();
    let mut view = View::new(Model::new(overview));
    let first = |view: &mut View| lines(view, (80, 24))[13][..7].to_owned();
    assert_eq!(first(&mut view), " GET /0");
    let place = |view: &mut View| {
        let foot = lines(view, (80, 24)).pop().unwrap();
        foot.split("help").last().unwrap().trim().to_owned()
    };
    for (action, shown) in [
        (Action::Scroll(1), "2-11 of 25"),
        (Action::Last, "16-25 of 25"),
        (Action::Scroll(1), "16-25 of 25"),
        (Action::Scroll(-1), "15-24 of 25"),
        (Action::Pages(-1), "5-14 of 25"),
        (Action::First, "1-10 of 25"),
        (Action::Pages(9), "16-25 of 25"),
    ] {
        view.act(action);
        assert_eq!(place(&mut view), shown, "{action:?}");
    }
}

#[test]
fn help_names_every_key_and_goes_away_again() {
    let mut view = View::new(full());
    view.act(Action::Help);
    let shown = lines(&mut view, (80, 24));
    assert_eq!(shown[12], " q, Esc, Ctrl-C        quit");
    assert!(shown.iter().all(|line| width_of(line) <= 80));
    assert!(HELP.iter().all(|line| line.len() < 80));
    view.act(Action::Help);
    view.act(Action::Show(Listed::Routes));
    assert!(lines(&mut view, (80, 24))[13].starts_with(" GET /limit"));
}
