// Chinese words that the search of the page understands, with the words of the contract. The first part has the terms of
// docs/glossary.md. `|` separates alternatives.
'use strict';

const TERMS = {
  'API 网关': 'gateway',
  '至少一次': 'at least once', '审计': 'audit', '批次': 'batch', '块': 'block', '熔断器': 'breaker|probe', '回调地址': 'endpoint|url',
  '回调': 'callback', '频道': 'channel', '客户端消息号': 'client_id', '冷': 'cold', '热': 'hot', '会话': 'conversation',
  '翻页游标': 'cursor', '死信': 'dead letter|dead-letter', '运维': 'operations|overview', '成功率': 'statistics', '部门群': 'department group|group of a department', '通讯录': 'directory|contacts',
  '发送前审核': 'gate', '审核': 'gate', '事件流': 'stream', '事件订阅方': 'observer', '事件': 'event', '外部用户': 'external', '保护阈值': 'guard|held', '冷热分界': 'archive_age_days|cold',
  '文件存储': 'store|file', '控制台': 'support', '结论': 'finding', '租约': 'lease', '回执台账': 'receipts|push status', '消息 id': 'ms_id', '分区': 'partition', '门户': 'portal', '在线状态': 'presence',
  '摘要': 'preview', '推送状态': 'push status|status', '推送': 'push', '已读游标': 'read_seq|cursor', '撤回': 'recall', '回执': 'receipt',
  '接收人': 'receiver', '副本': 'replica', '重放': 'replay', '重新加载': 'resync', '同步任务': 'run', '封存': 'seal|archive', '序号': 'seq',
  '槽位': 'slot|member', '数据源': 'source', '令牌': 'token', '未读数': 'unread', '投递结果': 'verdict|deliver', '归档': 'archive', '应用': 'application',
  '拉黑': 'block', '关注': 'follow', '粉丝': 'follower', '好友': 'friend', '邀请': 'invite', '关系': 'relation', '禁言': 'silence',
  '网关': 'gateway', '未接收': 'unreceived', '已接收': 'received', '已读': 'read', '未读': 'unread',

  '游标': 'cursor', '消息': 'message', '发送': 'send', '发消息': 'send', '接收': 'receive', '提醒': 'remind', '工作通知': 'notification', '通知': 'notif|event', '订阅': 'observer|event',
  '群聊': 'group', '群组': 'group', '群主': 'owner', '群': 'group', '单聊': 'direct', '成员': 'member', '加入': 'add', '移除': 'remove', '删除': 'remove|delete|dissolve',
  '退出': 'leave', '解散': 'dissolve', '转让': 'transfer|owner', '创建': 'create', '新建': 'create', '修改': 'change', '更新': 'update|change', '列表': 'list',
  '用户': 'user', '人员': 'user', '联系人': 'contact|user', '部门': 'department', '姓名': 'name', '名称': 'name', '头像': 'head_icon|picture', '电话': 'phone',
  '邮箱': 'mail', '工号': 'employee', '离职': 'inactive|left|leaver', '拼音': 'pinyin', '同步': 'sync', '编辑': 'edit', '搜索': 'search|find', '查找': 'find|search',
  '查询': 'search|find|list', '导出': 'export', '历史': 'history|list messages', '未送达': 'unreceived', '在线': 'online|presence', '离线': 'offline',
  '实时': 'stream|event', '表情': 'emoji', '文件': 'file', '图片': 'picture', '文本': 'text', '类型': 'type', '内容': 'content', '时间': 'time', '重复': 'repeat',
  '幂等': 'client_id|repeat', '错误': 'problem|error', '冲突': 'conflict', '权限': 'role|allowed', '角色': 'role', '身份': 'identity|authenticat', '登录': 'sign', '签名': 'signature',
  '密钥': 'secret', '参数': 'parameter', '字段': 'field', '分页': 'next_cursor|cursor', '上限': 'maximum|most', '超时': 'timeout|timed out', '不存在': 'not-found|not found',
  '健康': 'health', '就绪': 'ready', '原因': 'reason', '免打扰时段': 'quiet', '免打扰': 'quiet|muted', '加急': 'urgent', '催办': 'nudge', '升级提醒': 'escalate|escalation', '离线提醒': 'unreceived', '卡片': 'card', '群机器人': 'robot', '静音': 'muted', '置顶': 'pinned', '备注': 'remark', '设置': 'settings', '投递': 'deliver', '重试': 'retry|again',
};
