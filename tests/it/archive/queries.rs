//! What is found with which words: one table for the analysis itself and for both archives.

use im_push_gateway::archive::embedded::Embedded;
use im_push_gateway::archive::{Archive, Document, Find, Order};
use im_push_gateway::base::analyzer;
use im_push_gateway::base::number::{ChannelId, MsId};
use serde_json::json;
use time::OffsetDateTime;

/// Messages: their type, and what is searched of them.
pub const TEXTS: &[(&str, &str)] = &[
    ("text", "季度报告已经发到群里，请大家审批"),           // 0
    ("text", "預算會議改到週五下午三點，請帶電腦"),         // 1
    ("text", "预算会议的纪要在附件里"),                     // 2
    ("file", "季度报告_2026-Q3_final.pdf"),                 // 3
    ("file", "季度报告_2026-Q2_draft.pdf"),                 // 4
    ("text", "The annual report is out, see attachment."),  // 5
    ("text", "This report is not annual at all"),           // 6
    ("text", "Let's meet at the Café Zürich, 12:30"),       // 7
    ("text", "我们用 Rust语言 重写了推送服务 v2.0.1"),      // 8
    ("text", "订单编号ＡＢＣ１２３，金额￥4,500"),          // 9
    ("text", "order abc-123 was shipped"),                  // 10
    ("text", "北京大学的会议室在三楼"),                     // 11
    ("text", "南京市长江大桥"),                             // 12
    ("text", "請假單已核准，發票請補交"),                   // 13
    ("text", "发票已开，税号稍后发给财务"),                 // 14
    ("image", "IMG_20260314_現場照片.jpeg"),                // 15
    ("text", "收到"),                                       // 16
    ("text", "好的，收到！"),                               // 17
    ("text", "到货后请签收"),                               // 18
    ("text", "服务器 CPU 使用率超过 95%，立即处理"),        // 19
    ("text", "明日の会議はオンラインで、資料はデータ室に"), // 20
    ("text", "한국 지사 보고서 첨부합니다"),                // 21
    ("text", "https://oa.example.com/approve?id=48213"),    // 22
    ("text", "@zhang.san 请看一下 [:smile:]"),              // 23
    ("text", "他說「下週再議」，先不發"),                   // 24
    ("text", "annual\nreport"),                             // 25
    ("text", "🙂🙂"),                                       // 26
    ("text", "the weight is 5㎏, ﬁnal offer"),              // 27
    ("text", "今天😀开会，请准时"),                         // 28
    ("text", "约翰·史密斯的方案"),                          // 29
    ("text", "All servers restarted; reports follow"),      // 30
    ("text", "C++ 和 C# 的面试题"),                         // 31
    ("text", "请拨打 138-0013-8000 联系客户"),              // 32
    ("text", "电话13800138000"),                            // 33
    ("text", "plan C is ready, notepad++ too"),             // 34
    ("text", "行👍🏽"),                                       // 35
    ("text", "卡号 6222 0213 0000 1234 567，共 12 3 笔"),   // 36
    ("text", "see Room #3 or issue#12"),                    // 37
];

/// What somebody types, and the indices of exactly the texts that are found, in order.
pub const QUERIES: &[(&str, &[usize])] = &[
    // Chinese, of any length.
    ("报", &[0, 3, 4]),
    ("京", &[11, 12]),
    ("报告", &[0, 3, 4]),
    ("季度报告", &[0, 3, 4]),
    ("京大学", &[11]),
    ("市长", &[12]),
    ("长市", &[]),
    ("江大桥南京", &[]),
    ("收到", &[16, 17]),
    ("到收", &[]),
    ("收 到", &[16, 17, 18]),
    ("会议室", &[11]),
    // Traditional and simplified.
    ("预算会议", &[1, 2]),
    ("預算會議", &[1, 2]),
    ("會議", &[1, 2, 11, 20]),
    ("发票", &[13, 14]),
    ("發票", &[13, 14]),
    ("审批", &[0]),
    ("審批", &[0]),
    ("电脑", &[1]),
    ("现场照片", &[15]),
    ("下周再议", &[24]),
    // Case, forms, accents.
    ("abc123", &[9, 10]),
    ("ＡＢＣ１２３", &[9, 10]),
    ("ABC-123", &[9, 10]),
    ("cafe zurich", &[7]),
    ("CAFÉ", &[7]),
    ("final", &[3, 27]),
    ("5kg", &[27]),
    // Names of files, versions, numbers, addresses.
    ("2026-Q3", &[3]),
    ("2026q3", &[3]),
    ("q2", &[4]),
    ("pdf 季度", &[3, 4]),
    ("20260314", &[15]),
    ("v2.0.1", &[8]),
    ("2.0", &[8]),
    ("4,500", &[9]),
    ("48213", &[22]),
    ("oa.example.com", &[22]),
    ("zhang.san", &[23]),
    ("example.org", &[]),
    // Words in any order, phrases in theirs.
    ("annual report", &[5, 6, 25]),
    ("report annual", &[5, 6, 25]),
    // English words in any of their forms; as they are spelt in quotation marks.
    ("server", &[30]),
    ("SERVERS", &[30]),
    ("restarting", &[30]),
    ("reports", &[5, 6, 25, 30]),
    ("\"reports\"", &[30]),
    ("\"report\"", &[5, 6, 25]),
    ("\"annual reports\"", &[]),
    // Symbols part no word of Chinese, and are found where nothing else is asked for.
    ("今天开会", &[28]),
    ("今天😀开会", &[28]),
    ("约翰史密斯", &[29]),
    ("约翰·史密斯", &[29]),
    ("翰史", &[29]),
    ("🙂", &[26]),
    ("😀", &[28]),
    ("👍", &[35]),
    ("👍🏿!", &[35]),
    ("￥", &[9]),
    ("🙂 😀", &[]),
    // Signs that belong to a word.
    ("c++", &[31]),
    ("\"C++\"", &[31]),
    ("C#", &[31]),
    ("C", &[31, 34]),
    ("notepad", &[34]),
    ("Notepad++", &[34]),
    ("issue #12", &[37]),
    ("issue#12", &[37]),
    // A number, however it is written.
    ("13800138000", &[32, 33]),
    ("138-0013-8000", &[32, 33]),
    ("138 0013 8000", &[32]),
    ("\"138 0013 8000\"", &[32, 33]),
    ("0013-8000", &[32]),
    ("6222021300001234567", &[36]),
    ("0000 1234", &[36]),
    ("123", &[9, 10]),
    ("\"annual report\"", &[5, 25]),
    ("“annual report”", &[5, 25]),
    ("「annual report」 attachment", &[5]),
    ("\"report annual\"", &[]),
    ("repor", &[]),
    ("「北京 大学」", &[11]),
    // Mixed.
    ("Rust语言", &[8]),
    ("rust 语言", &[8]),
    ("语言rust", &[]),
    ("用rust", &[8]),
    ("CPU使用率", &[19]),
    ("95%", &[19]),
    ("smile", &[23]),
    // Japanese and Korean.
    ("ﾃﾞｰﾀ", &[20]),
    ("テータ", &[]),
    ("보고서", &[21]),
    ("보고서 한국", &[21]),
];

#[test]
fn the_analysis_finds_exactly_these() {
    for (query, expected) in QUERIES {
        let phrases = analyzer::parse_query(query);
        assert!(!phrases.is_empty(), "{query}");
        let found: Vec<usize> =
            (0..TEXTS.len()).filter(|i| analyzer::matches(&phrases, TEXTS[*i].1)).collect();
        assert_eq!(found, *expected, "{query}");
    }
}

/// The texts as documents, whose ms_id is their index.
pub fn documents() -> Vec<Document> {
    let document = |(i, (ms_type, text)): (usize, &(&str, &str))| Document {
        ms_id: MsId(i as i64),
        part: 0,
        version: 1,
        channel_id: ChannelId(1),
        seq: i as i64 + 1,
        server_time: OffsetDateTime::UNIX_EPOCH,
        sender: "u1".into(),
        sender_count: i as i64 + 1,
        ms_type: (*ms_type).into(),
        content: if *ms_type == "text" { json!({"text": text}) } else { json!({"name": text}) },
        extra: Default::default(),
        recalled: None,
        set_aside: false,
        ledger: None,
    };
    TEXTS.iter().enumerate().map(document).collect()
}

/// Asks an archive that holds [`documents`] and nothing else.
pub async fn finds_exactly_these(archive: &dyn Archive) {
    for (query, expected) in QUERIES {
        let words = analyzer::parse_query(query);
        let find = Find { words, order: Order::Oldest, ..Find::newest(TEXTS.len()) };
        let found = archive.find(&find).await.unwrap();
        let found: Vec<usize> = found.iter().map(|document| document.ms_id.0 as usize).collect();
        assert_eq!(found, *expected, "{query}");
    }
}

#[tokio::test]
async fn the_embedded_archive_finds_exactly_these() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Embedded::open(dir.path()).unwrap();
    archive.write(&documents()).await.unwrap();
    finds_exactly_these(&archive).await;
}
