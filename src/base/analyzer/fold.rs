//! Which spellings are equal in a search: width, case, accents, traditional characters.

use std::ops::{Range, RangeInclusive};
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// The Han characters in daily use. Only a table folds them.
const HAN: RangeInclusive<char> = '\u{3400}'..='\u{9FFF}';

/// Variants that the crate does not fold, or folds to a rare character. Each is followed by the character it
/// counts as.
const VARIANTS: &str = "\
    疊叠 著着 妳你 牠它 祂他 裊袅 羣群 峯峰 彆别 嚐尝 睏困 鉆钻 査查 眞真 幷并 卽即 旣既 敎教 \
    棊棋 枴拐 柺拐 捱挨 拚拼 搧扇 闇暗 翫玩 踰逾 遶绕 遡溯 糉粽 餬糊 醣糖 扞捍 捍捍 呵呵 賻赙 諼谖 \
    誶谇 諞谝 謅诌 譭毁 贜赃 瘂痖 畵画 慼戚 懞蒙 癧疬 凈净 鈅钥 鈡钟 鐝镢 鎌镰 鎭镇 錙锱 頏颃 顢颟 \
    饜餍 餼饩 餳饧 騖骛 鬪斗 鹺鹾 鼕冬 龢和 倀伥 僨偾 冑胄 囁嗫 囌苏 堖垴 塒埘 壚垆 嶁嵝 嶠峤 \
    慪怄 懨恹 櫱蘖 欅榉 欞棂 糝糁 綈绨 緶缏 繢缋 蘺蓠 蟣虮 襇裥 贐赆 躓踬 躚跹 輇辁 轔辚 邐逦 釃酾 \
    鋝锊 闃阒 韉鞯 鷳鹇 齔龀 儁俊 壜坛 墰坛 彔录 滙汇 尅克 甦苏 祕秘 燻熏 薹苔";

/// The character that each character of [`HAN`] counts as.
static SIMPLIFIED: LazyLock<Vec<char>> = LazyLock::new(|| {
    let mut table: Vec<char> = HAN.map(|c| alone(fast2s::convert(c.encode_utf8(&mut [0; 4])))).collect();
    for pair in VARIANTS.split_whitespace() {
        let mut pair = pair.chars();
        if let (Some(variant), Some(usual)) = (pair.next(), pair.next()) {
            table[index(variant)] = usual;
        }
    }
    table
});

/// Calls `each` with every character of the folded text and the source bytes it stands for. One cluster of
/// the source can fold to several characters, or to none.
pub(super) fn fold(text: &str, mut each: impl FnMut(char, &Range<usize>)) {
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        let alone_ends = start + first.len_utf8();
        let mut source = start..alone_ends;
        while let Some((at, more)) = chars.next_if(|(_, c)| continues(*c)) {
            source.end = at + more.len_utf8();
        }
        match first {
            _ if source.end > alone_ends => fold_cluster(&text[source.clone()], &source, &mut each),
            ascii if ascii.is_ascii() => each(ascii.to_ascii_lowercase(), &source),
            han if HAN.contains(&han) => each(simplified(han), &source),
            _ => fold_cluster(&text[source.clone()], &source, &mut each),
        }
    }
}

fn fold_cluster(cluster: &str, source: &Range<usize>, each: &mut impl FnMut(char, &Range<usize>)) {
    // Decomposed to drop the accents; composed again for Hangul and voiced kana, which are letters of their
    // own.
    let bare = cluster.nfkd().filter(|c| !is_accent(*c) && !is_invisible(*c));
    for c in bare.flat_map(char::to_lowercase).nfc() {
        each(simplified(c), source);
    }
}

fn simplified(c: char) -> char {
    if HAN.contains(&c) { SIMPLIFIED[index(c)] } else { c }
}

fn index(han: char) -> usize {
    han as usize - *HAN.start() as usize
}

fn alone(converted: String) -> char {
    converted.chars().next().unwrap_or_default()
}

/// Whether a character joins the one before it in the text's normal form.
fn continues(c: char) -> bool {
    const HANGUL_VOWELS_AND_FINALS: RangeInclusive<char> = '\u{1160}'..='\u{11FF}';
    const HALF_WIDTH_VOICE: RangeInclusive<char> = '\u{FF9E}'..='\u{FF9F}';
    c > '\u{7F}'
        && (is_invisible(c)
            || HANGUL_VOWELS_AND_FINALS.contains(&c)
            || HALF_WIDTH_VOICE.contains(&c)
            || canonical_combining_class(c) != 0)
}

fn is_accent(c: char) -> bool {
    let voice_of_kana = matches!(c, '\u{3099}' | '\u{309A}');
    canonical_combining_class(c) != 0 && !voice_of_kana
}

/// Soft hyphens, joiners, marks of direction, variants and skin tones: they come with pasted text, and users
/// do not type them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{1F3FB}'..='\u{1F3FF}'
        | '\u{E0100}'..='\u{E01EF}')
}

/// Whether a folded character is a unit by itself. Chinese, Japanese and Korean have no blanks between words,
/// or not where users expect them.
pub fn is_cjk(c: char) -> bool {
    matches!(c,
        '\u{1100}'..='\u{11FF}' | '\u{A960}'..='\u{A97F}' | '\u{D7B0}'..='\u{D7FF}' // Hangul letters
        | '\u{AC00}'..='\u{D7A3}' | '\u{3130}'..='\u{318F}'
        | '\u{2E80}'..='\u{2FDF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' // Han
        | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}'
        | '々' | '〆' | '〇' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{3035}' | '\u{3038}'..='\u{303C}'
        | '\u{3041}'..='\u{3096}' | '\u{309D}'..='\u{309F}' // Hiragana
        | '\u{30A1}'..='\u{30FA}' | '\u{30FC}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' // Katakana
        | '\u{3105}'..='\u{312F}' | '\u{31A0}'..='\u{31BF}') // Bopomofo
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut folded = String::new();
        fold(text, |c, _| folded.push(c));
        folded
    }

    #[test]
    fn what_traditional_offices_write_is_found_as_simplified() {
        for (traditional, simplified) in [
            ("預算會議報告審批發票電腦軟體", "预算会议报告审批发票电脑软体"),
            ("請於週五前繳交請購單與憑證", "请于周五前缴交请购单与凭证"),
            ("專案進度、網路、資訊、檔案、連結", "专案进度、网路、资讯、档案、连结"),
            ("後裡裏乾幹麵髮鐘鍾臺檯颱週彙匯", "后里里干干面发钟钟台台台周汇汇"),
            ("疊加看著試嚐彆扭羣組顯著", "叠加看着试尝别扭群组显着"),
            ("乾隆慰藉計畫覆蓋", "干隆慰藉计画覆盖"),
            ("戶綫衞爲眾衆啟啓内", "户线卫为众众启启内"),
        ] {
            assert_eq!(folded(traditional), folded(simplified), "{traditional}");
        }
        assert_eq!(folded("預算會議審批發票電腦軟體"), "预算会议审批发票电脑软体");
    }

    #[test]
    fn folding_again_changes_no_han_character() {
        for c in HAN.filter(|c| simplified(*c) != *c) {
            let once = simplified(c);
            assert_eq!(simplified(once), once, "{c} becomes {once}");
        }
    }

    #[test]
    fn forms_case_and_accents_are_one() {
        for (one, other) in [
            ("ＡＢＣ１２３", "abc123"),
            ("Café RÉSUMÉ İstanbul Đ", "cafe resume istanbul đ"),
            ("cafe\u{301}", "café"),
            ("ﬁne ㎏ ① Ⅳ ½", "fine kg 1 iv 1\u{2044}2"),
            ("한국", "한국"),
            ("が ﾃﾞｰﾀ", "か\u{3099} データ"),
            ("北\u{200B}京\u{FE0F} soft\u{AD}ware", "北京 software"),
            ("㍻", "平成"),
        ] {
            assert_eq!(folded(one), folded(other), "{one}");
        }
        assert_ne!(folded("か"), folded("が"));
    }
}
