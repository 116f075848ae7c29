//! Writes records into the staging tables, where SQL compares and applies them.

use std::pin::pin;

use deadpool_postgres::Transaction;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::record::{DepartmentRecord, UserRecord};
use crate::base::error::Result;
use crate::base::text::fold;
use crate::sql;

/// Where a step of records is staged: in which run, after which row.
#[derive(Debug, Clone, Copy)]
pub struct StagePosition<'a> {
    pub run_id: i64,
    pub after_row: i64,
    pub source: &'a str,
}

/// Stages users. A run may stage each user only once.
pub async fn users(tx: &Transaction<'_>, place: StagePosition<'_>, records: &[&UserRecord]) -> Result<()> {
    const TYPES: &[Type] = &[
        Type::INT8,
        Type::INT8,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::BOOL,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT_ARRAY,
        Type::TEXT,
        Type::BOOL,
        Type::TEXT_ARRAY,
    ];
    let mut writer = pin!(BinaryCopyInWriter::new(tx.copy_in(sql!("sync/stage/stage_users")).await?, TYPES));
    for (row, r) in (place.after_row + 1..).zip(records) {
        let row: [&(dyn ToSql + Sync); 22] = [
            &place.run_id,
            &row,
            &place.source,
            &r.external_id,
            &r.user_id,
            &fold(&r.user_id),
            &r.name,
            &r.head_icon,
            &r.active,
            &r.kind,
            &r.login_name,
            &r.login_name.as_deref().map(fold),
            &r.employee_number,
            &r.title,
            &r.email,
            &r.email.as_deref().map(fold),
            &r.phone,
            &r.manager,
            &r.department_ids,
            &r.source_version,
            &r.gone,
            &r.unset,
        ];
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}

/// Stages departments. A run may stage each department only once.
pub async fn departments(
    tx: &Transaction<'_>,
    place: StagePosition<'_>,
    records: &[&DepartmentRecord],
) -> Result<()> {
    const TYPES: &[Type] = &[
        Type::INT8,
        Type::INT8,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::TEXT,
        Type::INT4,
        Type::BOOL,
        Type::TEXT_ARRAY,
    ];
    let mut writer =
        pin!(BinaryCopyInWriter::new(tx.copy_in(sql!("sync/stage/stage_departments")).await?, TYPES));
    for (row, r) in (place.after_row + 1..).zip(records) {
        let row: [&(dyn ToSql + Sync); 10] = [
            &place.run_id,
            &row,
            &place.source,
            &r.department_id,
            &r.name,
            &r.name.as_deref().map(fold),
            &r.parent_id,
            &r.sort_order,
            &r.gone,
            &r.unset,
        ];
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}
