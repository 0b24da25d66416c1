use serde::{Deserialize, Serialize};

use crate::state::numbered;

numbered! {
    /// `Result` of a task.
    TaskResult {
        /// Accepted, waiting for a worker or for its window.
        Waiting = 0,
        /// At work.
        Running = 1,
        /// Ended well.
        Done = 2,
        /// Ended without its effect, undone or stuck; the message says which and why.
        Failed = 4,
    }
}

/// The kind of a task, by the API's three-digit code. Two codes of the same flow are two types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskType {
    /// `"001"`: what `Tasks[].TaskType` shows and filters take.
    pub code: &'static str,
    /// Names that filters take too: the current one first, then older ones and misspellings.
    pub names: &'static [&'static str],
    /// What it does, in English and in Chinese, for people.
    pub title: (&'static str, &'static str),
    /// Codes that a filter for this type matches besides its own.
    pub also: &'static [&'static str],
}

const fn kind(code: &'static str, names: &'static [&'static str], en: &'static str, zh: &'static str) -> TaskType {
    TaskType { code, names, title: (en, zh), also: &[] }
}

const fn matching(base: TaskType, also: &'static [&'static str]) -> TaskType {
    TaskType { also, ..base }
}

/// Every code that the API documents, and three of our own (901 to 903) for actions that answer a TaskId
/// but have no code there.
pub const TASK_TYPES: &[TaskType] = &[
    kind("001", &["FLOW_CREATE"], "create instance", "创建实例"),
    kind("002", &["FLOW_RESIZE"], "resize instance", "调整实例容量"),
    kind("003", &["FLOW_CLOSE"], "isolate instance", "隔离实例"),
    kind("004", &["FLOW_CLEAN", "FLOW_FLOW_CLEAN"], "clear instance", "清空实例"),
    kind("005", &["FLOW_STARTUP"], "restore isolated instance", "解隔离实例"),
    kind("006", &["FLOW_DELETE"], "delete instance", "删除实例"),
    kind("007", &["FLOW_SETPWD"], "set password", "设置密码"),
    kind("009", &["FLOW_EXPORTBACKUP"], "export backup", "导出备份"),
    kind("010", &["FLOW_RESTOREBACKUP"], "restore backup", "恢复备份"),
    kind("012", &["FLOW_BACKUPINSTANCE"], "back up instance", "备份实例"),
    kind("013", &["FLOW_MIGRATEINSTANCE"], "migrate instance", "迁移实例"),
    kind("014", &["FLOW_DELBACKUP"], "delete backup", "删除备份"),
    kind("016", &["FLOW_EXCHANGEINSTANCE"], "switch to new instance", "切换实例"),
    kind("017", &["FLOW_AUTOBACKUP"], "automatic backup", "自动备份"),
    kind("022", &["FLOW_MIGRATECHECK"], "check migration", "迁移校验"),
    kind("023", &["FLOW_MIGRATETASK"], "run migration", "迁移任务"),
    kind("025", &["FLOW_CLEANDB"], "clear database", "清空数据库"),
    kind("026", &["FLOW_CLONEBACKUP"], "clone from backup", "克隆备份"),
    kind("027", &["FLOW_CHANGEVIP"], "change address", "修改实例地址"),
    kind("028", &["FLOW_EXPORSHR", "FLOW_EXPORTSHR"], "scale instance", "扩缩容实例"),
    kind("029", &["FLOW_ADDNODES"], "add or remove nodes", "增删节点"),
    kind("031", &["FLOW_CHANGENET"], "change network", "修改网络"),
    kind("033", &["FLOW_MODIFYINSTACEREADONLY", "FLOW_MODIFYINSTANCEREADONLY"], "set read-only", "设置只读"),
    kind("034", &["FLOW_MODIFYINSTANCEPARAMS"], "change parameters", "修改参数"),
    kind("035", &["FLOW_MODIFYINSTANCEPASSWORDFREE"], "set password-free access", "设置免密访问"),
    kind("036", &["FLOW_SWITCHINSTANCEVIP"], "swap addresses", "交换实例地址"),
    kind("037", &["FLOW_MODIFYINSTANCEACCOUNT"], "change accounts", "修改账号"),
    kind("038", &["FLOW_MODIFYINSTANCEBANDWIDTH"], "change bandwidth", "修改带宽"),
    kind("039", &["FLOW_ENABLEINSTANCE_REPLICATE"], "enable replica reads", "开启读写分离"),
    kind("040", &["FLOW_DISABLEINSTANCE_REPLICATE"], "disable replica reads", "关闭读写分离"),
    kind("041", &["FLOW_UpgradeArch"], "upgrade architecture", "升级架构"),
    kind("042", &["FLOW_DowngradeArch"], "downgrade architecture", "降级架构"),
    matching(kind("043", &["FLOW_UpgradeVersion"], "upgrade version", "升级版本"), &["041"]),
    kind("044", &["FLOW_MODIFYCONNECTIONCONFIG"], "change connection limits", "修改连接配置"),
    kind("045", &["FLOW_CLEARNETWORK"], "return old address", "回收旧地址"),
    kind("046", &["FLOW_REMOVE_BACKUP_FILE"], "remove backup file", "删除备份文件"),
    kind("047", &["FLOW_UPGRADE_SUPPORT_MULTI_AZ"], "upgrade to multiple zones", "升级多可用区"),
    kind("048", &["FLOW_SHUTDOWN_MASTER"], "stop primaries", "停止主节点"),
    kind(
        "049",
        &["FLOW_CHANGE_REPLICA_TO_MASTER", "FLOW_CHANGE_REPLICA_TO_MSTER"],
        "promote replica",
        "提升副本为主节点",
    ),
    kind("050", &["FLOW_CODE_ADD_REPLICATION_INSTANCE"], "join replication group", "加入复制组"),
    kind("052", &["FLOW_OPEN_WAN"], "open public address", "开通外网"),
    kind("053", &["FLOW_CLOSE_WAN"], "close public address", "关闭外网"),
    kind("054", &["FLOW_UPDATE_WAN"], "update public address", "更新外网"),
    kind("055", &["FLOW_CODE_DELETE_REPLICATION_INSTANCE"], "leave replication group", "移出复制组"),
    kind("056", &["FLOW_CODE_CHANGE_MASTER_INSTANCE"], "switch primary instance", "切换主实例"),
    kind("057", &["FLOW_CODE_CHANGE_INSTANCE_ROLE"], "change instance role", "修改实例角色"),
    kind("058", &["FLOW_MIGRATE_NODE"], "migrate node", "迁移节点"),
    kind("059", &["FLOW_SWITCH_NODE"], "switch node", "切换节点"),
    kind("060", &["FLOW_UPGRADE_SMALL_VERSION"], "upgrade patch version", "升级小版本"),
    kind("061", &["FLOW_UPGRADE_PROXY_VERSION"], "upgrade proxy", "升级代理版本"),
    matching(kind("062", &["FLOW_MODIFY_INSTANCE_NETWORK"], "change network", "修改实例网络"), &["027", "031"]),
    kind("063", &["FLOW_MIGRATE_PROXY_NODE"], "migrate proxy node", "迁移代理节点"),
    kind("066", &["FLOW_MIGRATION_INSTANCE_ZONE"], "move between zones", "迁移可用区"),
    kind("067", &["FLOW_UPGRADE_INSTANCE_CACHE_AND_PROXY"], "upgrade engine and proxy", "升级内核与代理"),
    kind("069", &["FLOW_MODIFY_PROXY_NUM"], "change number of proxies", "修改代理数量"),
    kind("070", &["FLOW_MODIFYBACKUPMOD"], "change backup mode", "修改备份模式"),
    kind("901", &["FLOW_OPENSSL"], "enable TLS", "开启SSL"),
    kind("902", &["FLOW_CLOSESSL"], "disable TLS", "关闭SSL"),
    kind("903", &["FLOW_SWITCHPROXY"], "switch proxy", "切换代理"),
];

impl TaskType {
    /// The type with this code.
    pub fn by_code(code: &str) -> Option<&'static TaskType> {
        TASK_TYPES.iter().find(|kind| kind.code == code)
    }

    /// The type that a filter means: a code (`"037"`) or any of the names.
    pub fn by_filter(text: &str) -> Option<&'static TaskType> {
        TASK_TYPES.iter().find(|kind| kind.code == text || kind.names.contains(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_no_filter_means_two_types() {
        assert!(TASK_TYPES.windows(2).all(|pair| pair[0].code < pair[1].code));
        let names: Vec<_> = TASK_TYPES.iter().flat_map(|kind| kind.names).collect();
        for name in &names {
            assert_eq!(names.iter().filter(|other| other == &name).count(), 1, "{name}");
        }
    }

    #[test]
    fn older_names_and_misspellings_are_taken() {
        let check = |text: &str, code: &str| assert_eq!(TaskType::by_filter(text).map(|kind| kind.code), Some(code));
        check("037", "037");
        check("FLOW_FLOW_CLEAN", "004");
        check("FLOW_CHANGE_REPLICA_TO_MSTER", "049");
        check("FLOW_UpgradeVersion", "043");
        assert_eq!(TaskType::by_filter("37"), None);
    }
}
