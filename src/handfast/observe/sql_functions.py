"""Functions in SQL by name: those that act outside the query, those that only compute, and all others.

A function of the database's own making can do anything, so a name that is not known to compute is opaque.
"""

import re

_ACTS = re.compile(
    r"pg_(terminate_backend|cancel_backend|reload_conf|rotate_logfile|read_\w+|ls_\w+|stat_file|file_\w+|logdir_ls"
    r"|start_backup|stop_backup|backup_\w+|switch_\w+|create_\w+|drop_\w+|replication_\w+|logical_\w+|promote"
    r"|wal_replay_\w+|stat_reset\w*|stat_statements_reset|notify|import_\w+|sync_\w+|copy_\w+|log_\w+|set_\w+"
    r"|execute_\w+|advisory_\w+|try_advisory_\w+|export_\w+|extension_config_dump|prewarm|repack\w*|surgery\w*)"
    r"|lo_\w+|lowrite|loread|setval|set_config|dblink\w*|(query|table|schema|database|cursor)_to_xml\w*|crosstab\w*"
    r"|ts_stat|ts_rewrite|connectby|(xp|sp)_\w+|load_extension|writefile|readfile|edit|fts3_tokenizer|load_file|sys_\w+"
    r"|openrowset|openquery|opendatasource|external_query|query|query_table|(postgres|mysql|sqlite|pg)_(query|execute)"
    r"|sqlite_attach|mysql_clear_cache|getenv|http_?\w*|url|remote\w*|executable|jdbc|odbc|s3\w*|system\$?\w*|java\w*"
    r"|dbms_\w+|utl_\w+|cron_\w+|refresh_\w+|add_\w+_policy|drop_chunks|create_hypertable|benchmark|get_lock|shell\w*"
    r"|read_text|read_blob|cluster_\w+|exec\w*|eval"
)
_COMPUTES = re.compile(
    r"pg_(get\w+|size_\w+|\w+_size|relation_\w+|table_\w+|is_\w+|has_\w+|column_\w+|typeof|backend_pid|encoding\w*"
    r"|char\w*|client_\w+|conf_\w+|postmaster\w*|collation\w*|\w+_is_visible|current_\w+|last_\w+|wal_lsn_diff|lsn\w*"
    r"|sleep\w*|blocking_pids|safe_\w+|timezone\w*|options_to_table|show_\w+|tablespace_\w+|describe_\w+|identify_\w+"
    r"|filenode\w*|isolation\w*|lock_status|my_temp\w*|listening\w*|input_\w+|walfile\w*|partition\w*|prepared\w*"
    r"|cursor|available\w*|xact\w*|snapshot\w*|control_\w+|stat_(?!reset|file|statements_reset)\w+|trigger_depth|jit\w*)"
    r"|(json|jsonb|array|string|str|text|regexp|re|date|time|timestamp|timezone|to|try|try_to|is|st|xml|tsvector|tsquery"
    r"|list|map|struct|row|percentile|approx|bit|bool|char|current|make|number|num|int|float|parse|has|uuid|hex|sha"
    r"|inet|host|network|range|multirange|hstore|websearch|phraseto|plainto|object|variant|split|substr|jsonb_path|group"
    r"|hash|hll|bitmap|geo|h3|safe|format|day|week|month|year|hour|minute|second|last|next|first|nth|arg|any|quantile\w*"
    r"|cume|ratio|var|stddev|regr|covar|unix|from|sys|obj|col|server|schema|db|type|suser|user|is_\w+|vector|cosine|l2"
    r"|inner|word|strict_word|similarity|levenshtein|date_\w+|sql|tumble|width|octet|convert|decode|encode|iceberg)"
    r"(_\w+)?(?<!_exec)"
    r"|read_(csv|csv_auto|parquet|json|json_auto|json_objects|ndjson|ndjson_auto|xlsx)|(glob|sniff_csv|parquet_\w+|duckdb_\w+)"
    r"|pragma_\w+|sqlite_(version|source_id|compileoption_\w+)|sqlite_\w+_id"
    r"|abs|acos\w*|age|ascii|asin\w*|atan\w*|avg|btrim|cardinality|cbrt|ceil|ceiling|changes|chr|clock_timestamp|coalesce"
    r"|col_description|concat\w*|cos|cosh|cot|count\w*|crc32|currval|lastval|nextval|database|datalength|dateadd|datediff"
    r"|datename|datepart|datetrunc|datetime|decode|degrees|dense_rank|div|elt|enumrange|enum_\w+|eomonth|erf|every|exp"
    r"|export_set|extract\w*|factorial|field|find_in_set|flatten|floor|found_rows|gcd|lcm|gen_random_uuid|generate_\w+"
    r"|getdate|getutcdate|greatest|least|grouping|ident_\w+|iif|inet\w*|initcap|instr|isnull|ifnull|isnumeric|isfinite|isjson"
    r"|julianday|justify_\w+|lag|last_insert_id|last_insert_rowid|lead|left|len|length|likelihood|likely|unlikely|listagg"
    r"|ln|locate|log|log10|log2|lower|lpad|ltrim|md5|max|mid|min|mod|mode|median|newid|newsequentialid|normalize|now|ntile"
    r"|nullif|num_nulls|num_nonnulls|numnode|nvl\w*|oct|ord|overlay|patindex|charindex|pi|position|pow|power|printf|quote"
    r"|quote_\w+|quotename|radians|rand|random\w*|rank|replace|repeat|replicate|reverse|right|round|rpad|rtrim|scale"
    r"|setseed|setweight|sign|sin|sinh|sleep|soundex|space|sqrt|square|starts_with|ends_with|statement_timestamp|strftime"
    r"|strip|strpos|stuff|subdate|adddate|addtime|subtime|sum|sysdate|systimestamp|sysdatetime|sysutcdatetime|tan|tanh|total"
    r"|total_changes|transaction_timestamp|translate|trim\w*|trunc|truncate|ts_rank\w*|ts_headline|ts_delete|ts_filter"
    r"|txid_current\w*|typeof|unaccent|unhex|unicode|unistr|unnest|upper|utc_\w+|values|version|weekday|xmin|zeroblob|numbers"
    r"|uniq\w*|table|lateral|result_scan|sumif|avgif|countif|ml|keys|net|toDate\w*|to[a-z]+\d*|tz\w+|if|neighbor"
    r"|tuple\w*|today|yesterday|row_number|dayofweek|dayofyear|dayofmonth|quarter|makedate|maketime|period_\w+|sec_to_time"
    r"|benchmark_none|name_const|bin|conv|format_bytes|ps_\w+|any_value|rownum|nlssort|sys_context|sys_guid|userenv|lnnvl"
    r"|vsize|dump|ora_hash|bin_to_uuid|uuid_to_bin|isempty|upper_inf|lower_inf|lower_inc|upper_inc|point|box|circle|polygon"
    r"|line|lseg|path|area|center|diameter|npoints|radius|slope|broadcast|family|hostmask|masklen|netmask|set_masklen"
    r"|abbrev|aclexplode|acldefault|makeaclitem|obj_description|shobj_description|has_\w+_privilege|row_security_active"
    r"|get_(byte|bit|json_object|path|ddl|current_ts_config)|substring|height|float[48]|int[248]|sha\d+|session_user|variance"
    r"|digest|hmac|crypt|gen_salt|pgp_\w+|corr|xmlagg|xpath\w*|[a-z]+\d?(multi)?range|percent_rank|bit(and|or|xor|not|count)|cidr|macaddr8?|xid8?|money|bm25"
    r"|highlight|snippet|offsets|matchinfo|openjson|choose|isdate|parsename|checksum|binary_checksum|hashbytes|scope_identity"
    r"|error_\w+|xact_state|app_name|objectproperty\w*|acos[dh]?|asin[dh]?|atan2?[dh]?|cosd|cotd|sind|tand|set_(bit|byte)"
    r"|querytree|bigint|integer|smallint|numeric|varchar|interval|decimal|real|date|timestamptz|name|regclass|oid"
)
# A name that fits a family of the system's and says that it does something is somebody's own.
_VERB = re.compile(
    r"delet|drop|purge|clean|clear|wipe|kill|exec|send|destroy|eras|archiv|grant|revok|migrat|reset|flush|evict|unlink"
    r"|publish|deploy|upsert|updat|prune|expir(?!y)|nuke|obliterat|remove_(?!end)|vacuum|rotate|disable|enable|ban|charge"
    r"|refund|(^|_)(do|run|apply|save|write|sync|process|trigger|move|merge|call|set)(_|$)"
)
_DESPITE = re.compile(
    r"pg_\w+|jsonb?_(set|set_lax|remove|insert|replace|merge\w*|delete_path|array_insert)|json_merge\w*|array_remove|ts_delete"
    r"|map_(delete|remove|concat)|set_(bit|byte|masklen)|object_delete|list_(remove\w*|apply)|array_apply|has_\w+|quote_\w+|(find_in|make|export)_set"
)
_OWN_SCHEMAS = re.compile(
    r"(pg_catalog|sys|information_schema|safe|net|keys|hll_count|ml|json|st|d_fold)\Z",
    re.IGNORECASE,
)


def acts(name: str) -> bool:
    """Whether a function is known to act outside the query: on sessions, files, settings, other servers."""
    return bool(_ACTS.fullmatch(name.lower()))


def computes(name: str) -> bool:
    """Whether a function is known to give a value and do nothing else."""
    small = name.lower()
    if not _COMPUTES.fullmatch(small):
        return False
    return not _VERB.search(small) or bool(_DESPITE.fullmatch(small))


def of_the_system(schema: str) -> bool:
    return bool(_OWN_SCHEMAS.match(schema))
