use proptest::prelude::*;

use super::units::UNIT_CHARS_MAX;
use super::*;

fn phrases(query: &str) -> Vec<Vec<(u32, String)>> {
    parse_query(query).into_iter().map(|Phrase(terms)| terms).collect()
}

fn phrase(terms: &[(u32, &str)]) -> Vec<(u32, String)> {
    terms.iter().map(|(offset, term)| (*offset, (*term).to_owned())).collect()
}

#[test]
fn units_have_places_and_pairs_stand_between_them() {
    for (text, form) in [
        ("", ""),
        ("。 … !? _", ""),
        ("北", "北"),
        ("北京大", "北 北京 京 京大 大"),
        ("北 京", "北 _ 京"),
        ("北，京", "北 _ 京"),
        ("Rust语言", "rust|~rust _ 语 语言 言"),
        ("2026Q3", "2026 _ q _ 3"),
        ("季度报告_2026-Q3_final.pdf", "季 季度 度 度报 报 报告 告 _ 2026 _ q _ 3 _ final|~final _ pdf|~pdf"),
        ("ＡＢＣ１２３", "abc|~abc _ 123"),
        ("預算會議", "预 预算 算 算会 会 会议 议"),
        ("Café au lait", "cafe|~cafe _ au _ lait|~lait"),
        ("e\u{301}te\u{301}", "ete|~ete"),
        ("人々と二〇二六年", "人 人々 々 々と と と二 二 二〇 〇 〇二 二 二六 六 六年 年"),
        ("한국어", "한 한국 국 국어 어"),
        ("𠮷野家", "𠮷 𠮷野 野 野家 家"),
        ("㍻の㎏", "平 平成 成 成の の _ kg"),
        ("a\u{200B}b 北\u{200B}京", "ab _ 北 北京 京"),
        ("two servers", "two|~two _ servers|~server"),
        ("🙂", "🙂"),
        ("👍🏽好😀的~", "👍 好 好的|😀 的 ~"),
        ("北·京 a😀b", "北 北京 京 _ a 😀 b"),
        ("C++20, C#", "c|c++ + 20 _ c|c#"),
        ("138-0013-8000", "138|1380013|13800138000 _ 0013|00138000 _ 8000"),
        ("12-34, 5 / 6", "12 _ 34 _ 5 _ 6"),
    ] {
        assert_eq!(index_form(text), form, "{text}");
    }
}

#[test]
fn long_runs_are_cut() {
    let long = "x".repeat(UNIT_CHARS_MAX + 1);
    let first = "x".repeat(UNIT_CHARS_MAX);
    assert_eq!(index_form(&long), format!("{first}|~{first} _ x"));
    assert!(matches(&parse_query(&long), &format!("see {long}.")));
}

#[test]
fn a_word_is_a_phrase_and_pairs_stand_for_their_characters() {
    assert_eq!(phrases("季度报告"), [phrase(&[(0, "季度"), (2, "度报"), (4, "报告")])]);
    assert_eq!(phrases("北"), [phrase(&[(0, "北")])]);
    assert_eq!(phrases("Rust语言"), [phrase(&[(0, "~rust"), (3, "语言")])]);
    assert_eq!(phrases("A座"), [phrase(&[(0, "a"), (2, "座")])]);
    assert_eq!(phrases("2026-Q3"), [phrase(&[(0, "2026"), (2, "q"), (4, "3")])]);
    assert_eq!(phrases("中，国庆"), [phrase(&[(0, "中"), (3, "国庆")])]);
}

#[test]
fn words_are_joined_by_and_and_quotations_by_order() {
    let report = phrase(&[(0, "annual"), (2, "reports")]);
    for quoted in ["\"annual reports\"", "“annual reports”", "「Annual Reports」", "＂annual　reports＂"]
    {
        assert_eq!(phrases(quoted), std::slice::from_ref(&report), "{quoted}");
    }
    assert_eq!(phrases("annual reports"), [phrase(&[(0, "~annual")]), phrase(&[(0, "~report")])]);
    assert_eq!(phrases("a\"annual report\"b").len(), 3);
    assert_eq!(phrases("5\" screen"), [phrase(&[(0, "5")]), phrase(&[(0, "~screen")])]);
    assert_eq!(phrases("report reports"), [phrase(&[(0, "~report")])], "one word is asked once");
    assert_eq!(phrases("🙂😀 →!"), ["🙂", "😀", "→"].map(|symbol| phrase(&[(0, symbol)])));
    assert_eq!(phrases("预算 預算 预算").len(), 1, "one word is asked once");
    for nothing in ["", "  ", "？！", "\"\"", "___", "|", "「 」"] {
        assert!(phrases(nothing).is_empty(), "{nothing}");
    }
}

#[test]
fn a_phrase_is_written_as_the_index_is() {
    for (query, text) in [
        ("季度报告", "季度 _ 度报 _ 报告"),
        ("Rust语言", "~rust _ _ 语言"),
        ("tel 138-0013-8000", "~tel"),
        ("\"tel 138-0013-8000 x\"", "tel _ 13800138000 _ _ _ _ _ x"),
        ("\"annual report\"", "annual _ report"),
        ("北", "北"),
    ] {
        assert_eq!(parse_query(query)[0].to_query_text(), text);
    }
}

fn shown(query: &str, text: &str) -> String {
    let piece = |p: Piece| if p.hit { format!("[{}]", p.text) } else { p.text };
    highlight(&parse_query(query), text).into_iter().map(piece).collect()
}

#[test]
fn highlights_mark_the_original_text() {
    for (query, text, expected) in [
        ("预算", "請看預算，預算很重要", "請看[預算]，[預算]很重要"),
        ("会议 议室", "會議室已訂", "[會議室]已訂"),
        ("fine", "a ﬁne day", "a [ﬁne] day"),
        ("kg", "5㎏重", "5[㎏]重"),
        ("2026Q3", "季度报告_2026-Q3_final.pdf", "季度报告_[2026-Q3]_final.pdf"),
        ("cafe", "the cafe\u{301}!", "the [cafe\u{301}]!"),
        ("nothing", "such a text", "such a text"),
        ("成", "㍻", "[㍻]"),
        ("report", "two Reports.", "two [Reports]."),
        ("今天开会", "今天😀开会", "[今天😀开会]"),
        ("👍", "好👍🏽👍", "好[👍🏽]👍"),
        ("13800138000", "拨 138-0013-8000。", "拨 [138-0013-8000]。"),
        ("c++", "a C++ b c", "a [C++] b c"),
        ("x", "", ""),
    ] {
        assert_eq!(shown(query, text), expected, "{query}");
    }
}

#[test]
fn a_long_text_is_cut_around_the_first_hit() {
    let text = format!("{}预算{}", "前".repeat(500), "后".repeat(500));
    let rest = SNIPPET_CHARS_MAX - SNIPPET_LEAD_CHARS - 2;
    let expected = format!("…{}[预算]{}…", "前".repeat(SNIPPET_LEAD_CHARS), "后".repeat(rest));
    assert_eq!(shown("预算", &text), expected);
    assert_eq!(shown("无", &text), format!("{}…", "前".repeat(SNIPPET_CHARS_MAX)));
    let at_the_end = format!("{}预算", "前".repeat(500));
    assert_eq!(shown("预算", &at_the_end), format!("…{}[预算]", "前".repeat(SNIPPET_CHARS_MAX - 2)));
    let all_hit = "预".repeat(500);
    assert_eq!(shown("预", &all_hit), format!("[{}]…", "预".repeat(SNIPPET_CHARS_MAX)));
}

/// Texts as users write them, with everything that folding treats specially.
fn texts() -> impl Strategy<Value = String> {
    let some = prop::sample::select(
        "的预算預議报告abcXÉ e\u{301}ﬁ㎏㎡½①北京ＡＢ１２3456_-. ，。がｶﾞﾞ한\u{1112}\u{1161}\u{11AB}㍻\u{200B}\u{FE0F}🙂👍🏽·+#()İß𠮷々〇\n\t\"“「」"
            .chars()
            .collect::<Vec<_>>(),
    );
    prop_oneof![
        prop::collection::vec(some, 0..400).prop_map(|chars| chars.into_iter().collect::<String>()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn any_part_of_a_text_is_found_in_it(text in texts(), from in 0..200usize, length in 1..20usize) {
        let units = cut(&text).units;
        let (from, to) = (from.min(units.len()), (from + length).min(units.len()));
        prop_assume!(from < to);
        // A unit may begin inside the source of another one. A part cannot begin there.
        let clean = |i: usize| i == 0 || i == units.len() || units[i - 1].source.end <= units[i].source.start;
        prop_assume!(clean(from) && clean(to));
        let part = &text[units[from].source.start..units[to - 1].source.end];
        for spelling in [Spelling::Exact, Spelling::AnyForm] {
            let phrase = Phrase::of(&cut(part), spelling).expect("it has units");
            prop_assert!(matches(std::slice::from_ref(&phrase), &text), "{part:?}");
            prop_assert!(highlight(std::slice::from_ref(&phrase), &text).iter().any(|piece| piece.hit));
        }
    }

    #[test]
    fn what_is_asked_is_a_part_of_the_index(text in texts(), exact in any::<bool>()) {
        let form = index_form(&text);
        let spelling = if exact { Spelling::Exact } else { Spelling::AnyForm };
        for phrase in Phrase::all(&text, spelling) {
            let holds = |place: &str, term: &str| place.split(BESIDE).any(|beside| beside == term);
            let mut indexed = form.split(' ').skip_while(|place| !holds(place, &phrase.0[0].1));
            for term in phrase.to_query_text().split(' ') {
                let there = indexed.next().is_some_and(|place| holds(place, term));
                prop_assert!(term == FILLER || there, "{form:?}");
            }
        }
    }

    #[test]
    fn a_highlight_shows_a_stretch_of_the_text(text in texts(), query in texts()) {
        let phrases = parse_query(&query);
        let mut pieces = highlight(&phrases, &text);
        prop_assert!(pieces.windows(2).all(|two| two[0].hit != two[1].hit || two.iter().any(|p| p.text == "…")));
        if text.chars().count() > SNIPPET_CHARS_MAX {
            pieces.retain(|piece| piece.hit || piece.text != "…");
        }
        let shown: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        prop_assert!(text.contains(&shown));
        prop_assert_eq!(shown.chars().count(), text.chars().count().min(SNIPPET_CHARS_MAX));
        prop_assert!(!matches(&phrases, &text) || phrases.is_empty() || pieces.iter().any(|p| p.hit));
    }
}
