-- Stages records of users.
COPY t_im_stage_user
    (run_id, row_no, source, external_id, user_id, user_id_folded, name, head_icon, active, kind, login_name, login_name_folded, employee_number,
     title, email, email_folded, phone, manager, department_ids, source_version, gone, unset)
FROM STDIN (FORMAT binary)
