-- Stages records of departments.
COPY t_im_stage_department (run_id, row_no, source, department_id, name, name_folded, source_parent_id, sort_order, gone, unset)
FROM STDIN (FORMAT binary)
