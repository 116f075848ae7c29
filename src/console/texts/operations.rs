//! Texts of the pages for operators, and the names of states that they share.

super::texts! { OperationsTexts, operations;
    pages: "Pages of operations", "运维页面";
    home: "Home", "首页";
    overview: "Overview", "概览";
    overview_title: "Overview of operations", "运维概览";
    endpoints: "Endpoints", "端点";
    archive: "Archive", "归档";
    runs: "Directory", "通讯录同步";
    edits: "Edits", "修改";
    schedule: "Schedule", "计划任务";
    replicas: "Replicas", "副本";
    estimate: "An estimate: there are too many to count", "估计值：数量过多，未逐一计数";
    p_operators: "You need the role admin", "您需要 admin 角色";
    p_operators_do:
        "These pages are for operators. Ask the administrator of the API gateway to give you the role admin, then open this page again. Nothing was shown.",
        "这些页面供运维人员使用。请让 API 网关的管理员授予您 admin 角色，然后重新打开本页。没有显示任何内容。";
    back: "Back to the home page", "返回首页";
    curl_note:
        "$API is the address of the API, $TOKEN a token with the role admin.",
        "$API 是接口地址，$TOKEN 是具有 admin 角色的令牌。";
    live: "Live", "实时";
    live_paused: "Paused since {}", "自 {} 起已暂停";
    live_failed: "Cannot load, tries again", "加载失败，正在重试";
    live_waits: "Waits while you fill in the form", "填写表单期间暂停刷新";
    live_pause: "Pause", "暂停";
    live_resume: "Go on", "继续";
    help_pause: "Pause the page, or let it go on", "暂停或继续刷新页面";
    as_of: "As of", "数据时间";
    since: "since", "自";
    now: "Now", "当前";
    never: "Never", "从未";
    open: "Open", "打开";
    more: "Next page", "下一页";
    show: "Show", "显示";
    clear: "Clear", "清除";
    cancel: "Cancel", "取消";
    as_table: "As a table", "以表格查看";
    attention: "Needs a person first", "优先处理";
    nothing_to_do: "Nothing needs a person now.", "目前没有需要人工处理的事项。";
    thing_to_do: "needs a person.", "项需要人工处理。";
    things_to_do: "need a person. The worst is first.", "项需要人工处理，最严重的在前。";
    critical: "Now", "紧急";
    warning: "Soon", "尽快";
    fix: "Fix it", "去处理";
    runbook: "Runbook", "运维手册";
    runbook_lead: "From the runbooks of this release. They are in English.", "摘自本版本的运维手册（英文）。";
    a_not_ready: "This replica is not ready: it cannot store messages.", "本副本未就绪，无法存储消息。";
    a_endpoint_failing: "An endpoint does not answer as it should. Its pushes wait.", "端点没有正常应答，推送正在等待。";
    a_endpoint_paused: "An administrator has paused an endpoint. Its pushes wait.", "管理员已暂停端点，推送正在等待。";
    a_queue_old: "The oldest entry of a queue has waited for more than a minute.", "队列中最早的条目已等待超过一分钟。";
    a_gateway_differs: "Replicas have different gateways in their settings.", "各副本设置的网关不一致。";
    a_archive_lost: "The archive has lost records.", "归档丢失了记录。";
    a_archive_failed: "The last archive run failed.", "最近一次归档失败。";
    a_archive_away: "The archive does not answer.", "归档没有应答。";
    a_archive_overdue: "An archive run is late.", "归档任务已逾期。";
    a_search_behind: "New messages are not in the search index yet.", "新消息尚未进入搜索索引。";
    a_directory_failed: "The last directory run failed.", "最近一次通讯录同步失败。";
    a_run_held: "A directory run waits for an approval.", "有通讯录同步等待批准。";
    a_endpoint_disabled: "An endpoint is disabled. It gets no events.", "端点已停用，不再接收事件。";
    a_dead_letters: "Deliveries were given up.", "有投递已被放弃。";
    a_edit_conflicts: "Edits conflict with values of the source.", "有修改与数据源的值冲突。";
    u_waiting: "waiting", "条等待中";
    u_dead_letter: "dead letter", "封死信";
    u_dead_letters: "dead letters", "封死信";
    conflicts: "conflicts", "冲突";
    u_conflict: "conflict", "处冲突";
    u_conflicts: "conflicts", "处冲突";
    u_day: "day", "天";
    u_days: "days", "天";
    u_pair: "delivery", "条投递";
    u_pairs: "deliveries", "条投递";
    no_database: "The database does not answer. This page shows numbers again when it does.", "数据库没有应答，恢复后本页会重新显示数据。";
    last_hours: "The last 24 hours", "最近 24 小时";
    sampled:
        "There are too many messages to count: these numbers come from a sample.",
        "消息过多，未逐一计数，以下数字来自抽样。";
    sends: "Sends", "发送";
    receivers: "Receivers", "接收人";
    pushed: "Pushed", "已推送";
    received: "Received", "已收到";
    read: "Read", "已读";
    offline: "Offline", "离线";
    rejected: "Refused", "被拒收";
    retried: "To be retried", "待重试";
    busiest_hour: "most in an hour", "单小时最多";
    hour_from: "From", "起始时间";
    waiting: "Waiting", "等待中";
    oldest: "Oldest", "最早等待";
    nothing_waits: "nothing waits", "无等待";
    dead_letters: "Dead letters", "死信";
    cold_before: "Only in the archive, older than", "仅存于归档（早于）";
    nothing_archived: "nothing yet", "暂无";
    last_directory_run: "Last directory run", "最近一次通讯录同步";
    last_run: "last run", "最近一次";
    lost_days: "days with losses", "有丢失的天数";
    files: "Files", "文件";
    new_files: "new in 24 hours:", "24 小时内新增：";
    part: "Part", "部分";
    state_of: "State", "状态";
    details: "Details", "详情";
    service: "This replica", "本副本";
    database: "Database", "数据库";
    partitions: "Partitions", "分区";
    gateway: "Push to the gateway", "网关推送";
    index: "Search index", "搜索索引";
    index_lag: "behind by", "落后";
    failing: "breaker open", "熔断";
    endpoint: "Endpoint", "端点";
    endpoints_title: "Endpoints and their queues", "端点及其队列";
    no_endpoints: "There is no endpoint.", "还没有端点。";
    no_endpoints_do:
        "Set callback_url for the gateway, or create an observer with POST /callbacks.",
        "请设置 callback_url 指定网关，或用 POST /callbacks 创建观察者。";
    rate: "success rate", "成功率";
    rate_hours: "Success, last 6 hours", "最近 6 小时成功率";
    rate_day: "Success rate of the last 24 hours", "最近 24 小时成功率";
    first_of_each: "Of the first 200 attempts of each stretch of time", "取每个时段的前 200 次尝试";
    last_error: "Last error", "最近错误";
    last_errors: "Last errors", "最近错误";
    last_time: "last", "最近";
    no_errors: "No error among the newest 1,000 attempts.", "最近 1,000 次尝试中没有错误。";
    breaker: "Breaker", "熔断器";
    attempts: "Attempts", "尝试";
    failed: "Failed", "失败";
    no_attempts: "No attempt in this time.", "这段时间没有尝试。";
    last_attempts: "Newest attempts", "最近的尝试";
    sent_pairs: "Deliveries", "投递";
    slowest: "Slowest", "最慢";
    took: "Took", "耗时";
    at: "Time", "时间";
    answer: "Answer", "应答";
    no_answer: "no answer", "无应答";
    pause: "Pause", "暂停";
    resume: "Resume", "恢复";
    developer_links: "Links for its developer", "给开发者的链接";
    test: "Send a test event", "发送测试事件";
    pause_note: "A paused endpoint gets nothing. Its queue waits.", "暂停后不再推送，队列会等待。";
    resume_note: "Its queue is pushed again at once.", "恢复后立即继续推送队列。";
    test_taken: "The endpoint took the test event.", "端点接受了测试事件。";
    test_refused: "The endpoint did not take the test event.", "端点没有接受测试事件。";
    back_to_endpoint: "Back to the endpoint", "返回端点";
    disabled_because: "Disabled:", "停用原因：";
    entries: "Entries of the queue", "队列条目";
    in_flight: "Batches being sent", "正在发送的批次";
    failing_since: "Failing since", "开始失败于";
    changed_at: "Changed", "修改时间";
    callback_id: "Id", "编号";
    owner: "Application", "所属应用";
    event_types: "Events", "事件类型";
    limits: "Limits", "限制";
    concurrency: "at once", "并发";
    source: "Made by", "来源";
    from_settings: "the settings", "设置";
    dead_lead:
        "A dead letter is a delivery that was given up. Find the cause, fix it, then replay.",
        "死信是已放弃的投递。请先找出并修复原因，再重放。";
    no_dead: "There are no dead letters.", "没有死信。";
    no_dead_match: "No dead letter matches.", "没有匹配的死信。";
    no_dead_here: "Dead letters are kept for callback_keep_days.", "死信保留 callback_keep_days 天。";
    no_dead_do:
        "Dead letters are kept for callback_keep_days. Try fewer conditions, or look at another endpoint.",
        "死信保留 callback_keep_days 天。请减少条件，或查看其他端点。";
    all_endpoints: "All endpoints", "所有端点";
    dead_letter: "Dead letter", "死信";
    dead_id: "Id", "编号";
    dead_at: "Given up", "放弃时间";
    dead_since: "Given up since (UTC)", "放弃时间起（UTC）";
    dead_until: "before (UTC)", "止（UTC）";
    reason: "Reason", "原因";
    reason_begins: "Reason begins with", "原因开头";
    same_reason: "All with this reason", "查看同一原因";
    holds: "Holds", "内容";
    events: "events", "个事件";
    messages: "messages", "消息";
    messages_of: "messages of channel", "消息，频道";
    items: "What it holds", "所含内容";
    show_items: "Show receivers and ids", "显示接收人和编号";
    items_note:
        "Hidden until you ask. Texts of messages are on the page of the message, with a reason.",
        "默认隐藏。消息正文在消息页面查看，需填写理由。";
    seqs: "Numbers in the channel", "频道内序号";
    first_message: "First message", "第一条消息";
    last_message: "Last message", "最后一条消息";
    all_receivers: "all receivers of the channel", "频道的所有接收人";
    its_attempts: "Attempts that may have held it", "可能包含它的尝试";
    its_attempts_note:
        "Attempts until it was given up: those that span its messages, or those that failed.",
        "放弃之前的尝试：覆盖其消息的，或失败的。";
    replay: "Replay", "重放";
    replay_this: "Replay this one", "重放这一封";
    replay_matching: "Replay all that match", "重放所有匹配项";
    replay_title: "Replay dead letters?", "重放死信？";
    replay_note:
        "They are sent again, out of order. The endpoint drops what it has already by its id.",
        "它们会重新发送，不保证顺序。端点按编号丢弃已有的内容。";
    replay_audited: "The audit records it with your name.", "此操作会记入审计日志，包括您的姓名。";
    per_second: "At most so many deliveries a second (empty: no limit)", "每秒最多投递数（留空则不限）";
    nothing_to_replay: "Nothing is left to replay.", "没有可重放的内容。";
    nothing_to_replay_do:
        "Another administrator may have replayed them. Those of archived days cannot be replayed.",
        "可能已由其他管理员重放。已归档日期的死信无法重放。";
    replayed: "The dead letters are in the queue again.", "死信已重新进入队列。";
    since_replay: "Attempts since then", "此后的尝试";
    still_paused: "The endpoint is not active: nothing is sent until it is resumed.", "端点未启用，恢复之前不会发送。";
    s_active: "active", "启用";
    s_paused: "paused", "已暂停";
    s_disabled: "disabled", "已停用";
    s_ok: "ok", "正常";
    s_attention: "look at it", "需关注";
    s_ready: "ready", "就绪";
    s_unready: "not ready", "未就绪";
    s_read_only: "read only", "只读";
    s_away: "does not answer", "无应答";
    s_many: "too many", "过多";
    s_missing: "missing", "缺失";
    s_unknown: "unknown", "未知";
    s_failing: "failing", "失败中";
    s_off: "off", "关闭";
    s_differs: "differs", "不一致";
    s_none: "none", "无";
    s_running: "running", "进行中";
    s_failed: "failed", "失败";
    s_overdue: "late", "逾期";
    s_closed: "closed", "闭合";
    s_open: "open", "断开";
    s_half_open: "half open", "半开";
    s_done: "done", "完成";
    s_asked: "asked for", "已请求";
    s_staged: "staged", "已暂存";
    s_held: "waits for an approval", "等待批准";
    s_applying: "applying", "应用中";
    s_shown: "shown", "仅预览";
    s_superseded: "superseded", "已被取代";
    k_gateway: "gateway", "网关";
    k_gate: "gate", "审查";
    k_observer: "observer", "观察者";
}

impl OperationsTexts {
    /// What follows a number of dead letters.
    pub const fn dead_letters_of(&self, count: i64) -> &'static str {
        if count == 1 { self.u_dead_letter } else { self.u_dead_letters }
    }

    /// What follows a number of deliveries.
    pub const fn pairs_of(&self, count: i64) -> &'static str {
        if count == 1 { self.u_pair } else { self.u_pairs }
    }

    /// A state of the API in words. A state of a newer release stays as it is.
    pub fn state<'a>(&self, state: &'a str) -> &'a str {
        match state {
            "active" => self.s_active,
            "paused" => self.s_paused,
            "disabled" => self.s_disabled,
            "ok" => self.s_ok,
            "attention" => self.s_attention,
            "ready" => self.s_ready,
            "unready" => self.s_unready,
            "read_only" => self.s_read_only,
            "away" => self.s_away,
            "many" => self.s_many,
            "missing" => self.s_missing,
            "unknown" => self.s_unknown,
            "failing" => self.s_failing,
            "off" => self.s_off,
            "differs" => self.s_differs,
            "none" => self.s_none,
            "running" => self.s_running,
            "failed" => self.s_failed,
            "overdue" => self.s_overdue,
            "closed" => self.s_closed,
            "open" => self.s_open,
            "half-open" => self.s_half_open,
            "done" => self.s_done,
            "asked" => self.s_asked,
            "staged" => self.s_staged,
            "held" => self.s_held,
            "applying" => self.s_applying,
            "shown" => self.s_shown,
            "superseded" => self.s_superseded,
            "gateway" => self.k_gateway,
            "gate" => self.k_gate,
            "observer" => self.k_observer,
            other => other,
        }
    }
}
