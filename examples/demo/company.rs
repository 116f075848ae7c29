//! A fictional company of 300. The names come from lists and are the same in every run.

use serde_json::{Value, json};

pub const PEOPLE: usize = 300;
/// A portal that sends as an application.
pub const OA: &str = "app.oa";
pub const OA_NAME: &str = "OA 审批";

const SURNAMES: [(&str, &str); 20] = [
    ("王", "wang"),
    ("李", "li"),
    ("张", "zhang"),
    ("刘", "liu"),
    ("陈", "chen"),
    ("杨", "yang"),
    ("赵", "zhao"),
    ("黄", "huang"),
    ("周", "zhou"),
    ("吴", "wu"),
    ("徐", "xu"),
    ("孙", "sun"),
    ("欧阳", "ouyang"),
    ("朱", "zhu"),
    ("胡", "hu"),
    ("林", "lin"),
    ("郭", "guo"),
    ("何", "he"),
    ("高", "gao"),
    ("罗", "luo"),
];

const GIVEN: [(&str, &str); 24] = [
    ("晓雯", "xiaowen"),
    ("思远", "siyuan"),
    ("岚", "lan"),
    ("雨桐", "yutong"),
    ("子涵", "zihan"),
    ("若溪", "ruoxi"),
    ("明轩", "mingxuan"),
    ("澄", "cheng"),
    ("文博", "wenbo"),
    ("静怡", "jingyi"),
    ("安然", "anran"),
    ("一诺", "yinuo"),
    ("佳琪", "jiaqi"),
    ("书瑶", "shuyao"),
    ("朔", "shuo"),
    ("梓萱", "zixuan"),
    ("景行", "jingxing"),
    ("知夏", "zhixia"),
    ("望舒", "wangshu"),
    ("清扬", "qingyang"),
    ("向南", "xiangnan"),
    ("春生", "chunsheng"),
    ("嘉宁", "jianing"),
    ("小北", "xiaobei"),
];

const FIRST: [(&str, &str); 10] = [
    ("Anna", "anna"),
    ("Søren", "soren"),
    ("Zoë", "zoe"),
    ("Lukas", "lukas"),
    ("José", "jose"),
    ("Ida", "ida"),
    ("Emil", "emil"),
    ("Clara", "clara"),
    ("Łucja", "lucja"),
    ("Felix", "felix"),
];

const LAST: [(&str, &str); 8] = [
    ("Berger", "berger"),
    ("Lindqvist", "lindqvist"),
    ("Okafor", "okafor"),
    ("Moreau", "moreau"),
    ("Novák", "novak"),
    ("Ribeiro", "ribeiro"),
    ("Jäger", "jaeger"),
    ("Nakamura", "nakamura"),
];

/// Id, name and parent.
const BRANCHES: [(&str, &str, Option<&str>); 6] = [
    ("starbridge", "星桥科技 Starbridge", None),
    ("rd", "研发中心", Some("starbridge")),
    ("market", "市场部", Some("starbridge")),
    ("staff", "职能部门", Some("starbridge")),
    ("berlin", "Berlin", Some("starbridge")),
    ("singapore", "Singapore", Some("starbridge")),
];

/// The teams. Users are assigned to them in turn; every fourth team is abroad.
pub const TEAMS: [(&str, &str, &str); 12] = [
    ("platform", "平台组", "rd"),
    ("client", "客户端组", "rd"),
    ("quality", "测试组", "rd"),
    ("berlin.engineering", "Berlin Engineering", "berlin"),
    ("east", "华东区", "market"),
    ("south", "华南区", "market"),
    ("people", "人力资源部", "staff"),
    ("berlin.sales", "Berlin Sales", "berlin"),
    ("finance", "财务部", "staff"),
    ("legal", "法务部", "staff"),
    ("office", "行政部", "staff"),
    ("singapore.support", "Singapore Support", "singapore"),
];

#[derive(Debug, Clone)]
pub struct Person {
    pub user_id: String,
    pub name: String,
    pub team: usize,
}

pub fn people() -> Vec<Person> {
    (0..PEOPLE).map(person).collect()
}

fn person(n: usize) -> Person {
    let (name, user_id) = if n % 4 == 3 {
        let (first, last) = (FIRST[n / 4 % 10], LAST[(n / 40 + n / 4) % 8]);
        (format!("{} {}", first.0, last.0), format!("{}.{}", first.1, last.1))
    } else {
        let at = n - n / 4;
        // 5 and 24 have no common divisor, so every pair occurs once.
        let (family, given) = (SURNAMES[at % 20], GIVEN[(at / 20 * 5 + at % 20 * 7) % 24]);
        (format!("{}{}", family.0, given.0), format!("{}.{}", family.1, given.1))
    };
    Person { user_id, name, team: n % TEAMS.len() }
}

/// The departments in the HR service's form.
pub fn departments() -> Vec<Value> {
    let all = BRANCHES.into_iter().chain(TEAMS.map(|(id, name, parent)| (id, name, Some(parent))));
    all.map(|(id, name, parent)| json!({"id": id, "name": name, "parent_id": parent})).collect()
}

/// A user in the HR service's form.
pub fn entry(person: &Person) -> Value {
    json!({
        "id": person.user_id,
        "name": person.name,
        "head_icon": format!("/icons/{}.png", person.user_id),
        "department_ids": [TEAMS[person.team].0],
    })
}

/// The department tree, one line per branch.
pub fn tree(people: &[Person]) -> Vec<String> {
    let team = |(at, (_, name, _)): (usize, &(&str, &str, &str))| {
        let size = people.iter().filter(|person| person.team == at).count();
        format!("{name} {size}")
    };
    let branch = |(id, name, _): &(&str, &str, Option<&str>)| {
        let below = TEAMS.iter().enumerate().filter(|(_, team)| team.2 == *id);
        let teams: Vec<String> = below.map(team).collect();
        (!teams.is_empty()).then(|| format!("{}  {}", crate::tell::pad(name, 10), teams.join(" · ")))
    };
    BRANCHES.iter().filter_map(branch).collect()
}
