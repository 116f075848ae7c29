//! Texts of the pages for what the service does by itself, and for what can be put right.

super::texts! { Upkeep, upkeep;
    // Every page.
    no: "No, go back", "不，返回";
    directory: "Directory", "通讯录";
    back: "Back to the directory runs", "返回通讯录同步";
    state: "State", "状态";
    to_do: "What to do", "如何处理";
    runbook: "Runbook", "运维手册";
    not_allowed: "You may not see or do this", "您无权查看或执行此操作";
    not_allowed_do:
        "The line below says what is needed. Ask an administrator, who can do it, or give you the role.",
        "下面一行说明所需的权限。请联系管理员代为处理或授予角色。";
    // The archive.
    archive: "Archive", "归档";
    days: "Days", "日期";
    day: "Day", "日期";
    each_day: "Each day", "逐日查看";
    d_hot: "in PostgreSQL", "在 PostgreSQL 中";
    d_sealed: "moving", "迁移中";
    d_cold: "in the archive", "已归档";
    d_failed: "failed", "失败";
    d_lost: "lost records", "有记录丢失";
    no_days:
        "No day has messages yet. If this stays, today's tables are missing: look at /readyz.",
        "尚无任何日期有消息。若一直如此，则当天的表缺失，请查看 /readyz。";
    day_failed:
        "the archive differs from what was written. The messages are still in PostgreSQL and can be read.",
        "归档与写入的内容不一致。消息仍在 PostgreSQL 中，可以正常读取。";
    day_failed_do:
        "Repair the archive. Then run im-push-gateway archive run, or wait for the next run: it writes the day again.",
        "请先修复归档，然后执行 im-push-gateway archive run，或等待下次运行重新写入这一天。";
    day_lost: "the archive has lost records of this day.", "归档丢失了这一天的记录。";
    day_lost_do:
        "Restore the newest snapshot of the archive. Then run im-push-gateway archive reconcile --apply. Until then reads of this day get 503.",
        "请恢复最新的归档快照，然后执行 im-push-gateway archive reconcile --apply。在此之前读取这一天会得到 503。";
    step_sealed: "sealed", "已封存";
    step_written: "written", "已写入";
    step_verified: "verified", "已核对";
    step_switched: "read from the archive", "已改由归档读取";
    step_dropped: "moved", "已移完";
    lost_documents: "Documents lost:", "丢失的文档：";
    lost_rows: "receipts lost:", "丢失的回执：";
    messages: "Messages", "消息";
    ledger_rows: "Receipts", "回执";
    bytes: "Size in PostgreSQL", "在 PostgreSQL 中的大小";
    archive_runs: "Runs", "运行记录";
    older_runs: "Older runs", "更早的运行";
    no_archive_runs:
        "No run yet. The schedule begins one; im-push-gateway archive run begins one by hand.",
        "尚无运行。计划任务会自动开始，也可执行 im-push-gateway archive run 手动开始。";
    run: "Run", "运行";
    begun: "Begun", "开始";
    took: "Took", "用时";
    by_schedule: "by the schedule", "计划任务";
    by_hand: "by hand", "手动";
    by_change: "by a change", "变更触发";
    r_running: "Running", "运行中";
    // Runs of the directory.
    runs: "Directory runs", "通讯录同步";
    no_runs:
        "No run yet. The schedule begins one, and so does the button above. Without directory.source there is nothing to read.",
        "尚无运行。计划任务会自动开始，也可点击上面的按钮。若未设置 directory.source，则没有可读取的数据源。";
    read: "Read", "读取";
    m_full: "Everything", "全部";
    m_incremental: "Only what has changed", "仅变更";
    m_changes: "Named users and departments", "指定的人员和部门";
    dry_run: "Dry run", "试运行";
    dry_run_only: "Dry run: only show the changes", "试运行：仅显示变更";
    start_run: "Begin a run", "开始同步";
    start_dry: "Begin a dry run", "开始试运行";
    start_title: "Begin a run of the directory?", "开始通讯录同步？";
    start_what:
        "The service reads the source and applies what has changed. If too many users would leave, the guard stops it for an approval.",
        "服务会读取数据源并应用变更。若离职人员过多，保护机制会暂停运行并等待批准。";
    start_dry_what: "The service reads the source and shows what would change. It changes nothing.", "服务会读取数据源并显示将发生的变更，不做任何修改。";
    r_asked: "Reads the source", "读取数据源";
    r_staged: "Compares", "比对中";
    r_held: "Waits for an approval", "等待批准";
    r_applying: "Applies", "应用中";
    r_done: "Done", "完成";
    r_shown: "Shown", "已显示";
    r_failed: "Failed", "失败";
    r_superseded: "Superseded", "已被取代";
    records: "Records", "记录";
    changes: "Changes", "变更";
    problems: "Problems", "问题";
    differences: "Changes", "变更";
    held_why: "The guard has stopped this run. Nothing has changed.", "保护机制已暂停此次运行，没有任何变更。";
    held_do:
        "Look at the changes. If they are right, approve the run. If the source gave an incomplete list, cancel the run and repair the source.",
        "请查看变更。若正确则批准；若数据源给出的名单不完整，请取消运行并修复数据源。";
    see_changes: "See the changes", "查看变更";
    approve: "Approve the run", "批准运行";
    cancel_run: "Cancel the run", "取消运行";
    admin_decides: "An administrator decides.", "由管理员决定。";
    approved_by: "approved by", "批准人";
    approve_title: "Approve this run?", "批准此次运行？";
    approve_what:
        "The service applies all changes of this run at once. Users who leave lose their departments and their groups.",
        "服务会立即应用此次运行的全部变更。离职人员会失去其部门和群组。";
    preview: "The first changes", "前几项变更";
    cancel_run_title: "Cancel this run?", "取消此次运行？";
    cancel_run_what: "The run ends and changes nothing. The next run reads the source again.", "运行结束且不做任何变更。下次运行会重新读取数据源。";
    users: "Users", "人员";
    departments: "Departments", "部门";
    a_created: "new", "新增";
    a_updated: "changed", "变更";
    a_deactivated: "leaves", "离职";
    a_removed: "removed", "移除";
    a_refused: "refused", "拒绝";
    a_same: "unchanged", "不变";
    what_happens: "What happens", "变更";
    record: "Record", "记录";
    kind: "Kind", "类型";
    k_user: "user", "人员";
    k_department: "department", "部门";
    what_is_wrong: "What is wrong", "问题说明";
    no_differences:
        "No change is left. The changes of a run are kept until the next run begins.",
        "没有剩余的变更。变更记录保留到下次运行开始。";
    no_problems: "Every record of this run is right.", "此次运行的所有记录均正确。";
    // Edits.
    edits: "Edits for the source", "写回数据源的修改";
    edits_lead:
        "Edits of attributes that the directory's source owns. They count when the source has taken them.",
        "对数据源所管属性的修改，数据源接受后才生效。";
    all_edits: "All", "全部";
    e_waiting: "Waiting", "等待中";
    e_sent: "Being sent", "发送中";
    e_applied: "Taken", "已接受";
    e_conflict: "Conflict", "冲突";
    e_refused: "Refused", "被拒绝";
    e_failed: "Not taken in time", "超时未接受";
    e_cancelled: "Cancelled", "已取消";
    no_conflicts: "No edit is in conflict. Nothing needs to be done.", "没有冲突的修改，无需处理。";
    no_edits: "No edit is in this state.", "没有处于此状态的修改。";
    no_edits_of: "This person has no edits for the source.", "没有针对此人的写回修改。";
    asked_by: "by", "发起人";
    attempts: "Attempts:", "尝试次数：";
    next_attempt: "next", "下次";
    ended: "ended", "结束";
    retry: "Send again", "重新发送";
    cancel_edit: "Cancel the edit", "取消修改";
    values: "Values", "取值";
    attribute: "Attribute", "属性";
    value_before: "Before", "修改前";
    value_ours: "Ours", "本服务";
    value_theirs: "The source's", "数据源";
    empty_value: "empty", "空";
    retry_title: "Send this edit again?", "重新发送此修改？";
    retry_what: "The service sends the edit to the source again.", "服务会将此修改重新发送给数据源。";
    retry_over:
        "The value of the source is overwritten with ours. If it has changed once more, the edit is in conflict again.",
        "数据源的值将被本服务的值覆盖。若数据源再次变更，修改会再次冲突。";
    cancel_edit_title: "Cancel this edit?", "取消此修改？";
    cancel_edit_what:
        "The value of the source stays. An earlier attempt without an answer may have been taken.",
        "保留数据源的值。之前未得到应答的尝试可能已被接受。";
    // Schedule.
    schedule: "Schedule", "计划任务";
    no_jobs:
        "Nothing begins by a schedule. archive_url and directory.source bring jobs.",
        "没有计划任务。设置 archive_url 或 directory.source 后才有。";
    job: "Job", "任务";
    j_archive: "Archive", "归档";
    j_directory: "Directory, changes", "通讯录同步（变更）";
    j_directory_full: "Directory, everything", "通讯录同步（全部）";
    cron: "Schedule", "时间表";
    last_begun: "Last begun", "上次开始";
    next_here: "Next, for you", "下次（您的时区）";
    next_there: "Next, in its zone", "下次（任务时区）";
    never: "Never", "从不";
    not_yet: "Not yet", "尚未";
    due_since: "Due since", "应开始于";
    schedule_note: "The settings decide the times. They count after a restart.", "时间由配置决定，重启后生效。";
    // Replicas.
    replicas: "Replicas", "副本";
    replica: "Replica", "副本";
    version: "Version", "版本";
    since: "Since", "启动于";
    seen: "Last seen", "最近在线";
    holds: "Holds", "持有";
    workers: "Workers", "工作线程";
    workers_work: "All work", "全部正常";
    failures: "failures in a row:", "连续失败：";
    silent: "Silent", "无响应";
    silent_do:
        "A replica tells nothing any more. If it was not stopped on purpose, look at its log. Others take its work when its leases end.",
        "有副本不再报告。若非有意停止，请查看其日志。租约到期后其他副本会接手其工作。";
    versions_differ: "The replicas have different versions. During an upgrade this is right.", "副本版本不一致。升级期间属正常现象。";
    no_replicas: "No replica has told of itself yet. Look again in ten seconds.", "尚无副本报告，请十秒后再看。";
    leases: "Leases", "租约";
    leases_lead: "Work that runs on one replica at a time.", "同一时间只在一个副本上运行的工作。";
    no_leases: "No work was taken yet.", "尚无工作被接手。";
    work: "Work", "工作";
    held_by: "Held by", "持有者";
    until: "Until", "到期";
    not_held: "No replica", "无副本";
    unknown_holder: "A replica that is gone, or of an earlier version", "已离开或旧版本的副本";
    // Groups and users.
    groups: "Groups without an owner", "没有群主的群组";
    groups_lead:
        "No one can manage these groups: they have no owner, or the owner is suspended or has left.",
        "无人可管理的群组：没有群主，或群主已停用、已离职。";
    no_groups: "Every group has an active owner. Nothing needs to be done.", "所有群组都有在职群主，无需处理。";
    not_active: "not active", "非在职";
    rescue: "Give it an owner", "指定群主";
    admin_rescues: "An administrator can give it an owner.", "由管理员指定群主。";
    rescue_title: "Give this group an owner?", "为此群组指定群主？";
    rescue_what: "The new owner must be an active member. The old owner stays a member. The audit keeps the reason.", "新群主必须是在职成员。原群主仍为成员。原因会写入审计。";
    new_owner: "User id of the new owner", "新群主的用户编号";
    why_rescue: "Reason", "原因";
    absent: "Suspended and left", "停用与离职人员";
    suspended: "Suspended", "停用";
    left: "Left", "离职";
    no_absent: "No user is in this state.", "没有处于此状态的人员。";
    // A message.
    nudge: "Nudge those who have not read", "提醒未读的接收人";
    nudge_title: "Nudge the receivers?", "提醒接收人？";
    nudge_what:
        "The gateway gets the message once more, marked urgent, for each receiver who has not read it:",
        "网关会再次收到此消息并标记为紧急，发给每位未读的接收人：";
    nudged: "Receivers who get an urgent push:", "将收到紧急推送的接收人：";
    nudged_over: "Receivers with too many open urgent messages, who get none:", "未处理的紧急消息过多、不再推送的接收人：";
    replay: "Replay the dead letter", "重放死信";
    admin_replays: "An administrator can replay it.", "由管理员重放。";
    replay_title: "Push this dead letter again?", "重新推送此死信？";
    replay_what:
        "The gateway gets all of the batch again, in the order of the channel. Pairs of a message and a receiver:",
        "网关会按频道顺序再次收到整个批次。消息与接收人的对数：";
    given_up: "Given up", "放弃于";
}
