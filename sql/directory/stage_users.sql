-- Takes in records of people.
COPY t_im_stage_user
    (run_id, row_no, source, external_id, user_id, name, head_icon, active, kind, login_name, employee_number, title, email,
     phone, manager, department_ids, source_version, gone, untold)
FROM STDIN (FORMAT binary)
