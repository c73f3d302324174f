"""What the store of ledger_002 refuses, whoever asks: its functions and triggers.

Every function names the schema it was made for and looks there before a session's temporary tables,
which PostgreSQL would otherwise look through first.

A later migration adds tables, columns, constraints and indexes as any does. What the event triggers
refuse (dropping, renaming, moving or rewriting something of the journal) it does between
`ALTER EVENT TRIGGER ledger_keeps_journal DISABLE` and `… ENABLE`, of each of EVENT_TRIGGERS, within its
one transaction, and so what it replaces of the functions; a table it adds to the journal it names in
those of `keeping`.
"""

JOURNAL = (
    "record",
    "entry",
    "line",
    "posting_batch",
    "posting_request",
    "reversal",
    "closed_day",
    "closed_period",
    "reservation_line",
)
"""Rows are inserted, and never changed."""
KEPT = (
    "account",
    "account_day",
    "book",
    "gl_account",
    "gl_day",
    "posting_rule",
    "posting_rules_version",
    "proposal",
    "reservation",
)
"""Rows are never deleted."""
ACCOUNT_IDENTITY = "book_id, account_id, batch_number, number, gl_code, owner_type, owner_id"
BOOK_IDENTITY = (
    "book_id, legal_entity, currency_code, time_zone, lender_type, vat_mode, non_accrual_policy, "
    "first_date"
)
PROPOSAL_IDENTITY = "book_id, proposal_id, operation, reason, maker"
PARTITION = r"^line_\d{4}_\d{2}$"

REFUSE_CHANGE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql
SET search_path = {schema}, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the journal is never changed: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'reverse the entry instead';
END $$
"""

# An entry's lines arrive in one statement, so the statement's new rows hold whole entries. They are
# read once: summed by entry, and the few sums are held against the book.
CHECK_LINES = """
CREATE FUNCTION check_lines() RETURNS trigger LANGUAGE plpgsql
SET search_path = {schema}, pg_temp SET plan_cache_mode TO auto AS $$
DECLARE
    wrong record;
BEGIN
    SELECT summed.* INTO wrong FROM (
        SELECT book_id, sequence, memo, sum(debit - credit) AS difference,
               min(booking_date) AS first_day, max(booking_date) AS last_day
        FROM fresh GROUP BY book_id, sequence, memo
    ) AS summed JOIN book USING (book_id)
    WHERE summed.difference <> 0
       OR summed.first_day <> book.business_date OR summed.last_day <> book.business_date
    LIMIT 1;
    IF FOUND AND wrong.difference <> 0 THEN
        RAISE EXCEPTION 'entry % does not balance', wrong.sequence
            USING ERRCODE = 'check_violation';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'entry % is not booked on the open business date', wrong.sequence
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

CHECK_OPEN_DAY = """
CREATE FUNCTION check_open_day() RETURNS trigger LANGUAGE plpgsql
SET search_path = {schema}, pg_temp SET plan_cache_mode TO auto AS $$
DECLARE
    closed date;
BEGIN
    SELECT fresh.booking_date INTO closed FROM fresh JOIN book USING (book_id)
    WHERE fresh.booking_date <> book.business_date LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% is not the open business date', closed
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$
"""

# The partition of a month with its triggers, made ahead of its first day by whatever opens the day.
# Built beside the table and attached once it is guarded, which waits for no reader of the journal. It
# runs as the schema's owner: the service's role owns no table of the journal.
OPEN_MONTH = """
CREATE FUNCTION open_month(day date) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = {schema}, pg_temp AS $$
DECLARE
    first_day date := date_trunc('month', day);
    partition text := 'line_' || to_char(day, 'YYYY_MM');
    there regclass;
BEGIN
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'line'::regclass
               AND inhrelid = to_regclass('{schema}.' || partition)) THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('tael:ledger:months'));
    there := to_regclass('{schema}.' || partition);
    IF EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'line'::regclass AND inhrelid = there) THEN
        RETURN;
    ELSIF there IS NOT NULL THEN
        RAISE EXCEPTION '% is no partition of the journal and has the name of one', there
            USING ERRCODE = 'duplicate_table', HINT = 'move what it holds elsewhere and drop it';
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE line INCLUDING ALL)', partition);
    EXECUTE format('CREATE TRIGGER line_unchanged BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', partition);
    EXECUTE format('CREATE TRIGGER line_balance AFTER INSERT ON %I REFERENCING NEW TABLE AS fresh '
                   'FOR EACH STATEMENT EXECUTE FUNCTION check_lines()', partition);
    EXECUTE format('ALTER TABLE line ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                   partition, first_day, first_day + interval '1 month');
END $$
"""

# Decided once.
PROPOSAL_DECIDED = """
CREATE TRIGGER proposal_decided BEFORE UPDATE ON proposal FOR EACH ROW
WHEN (OLD.state <> 'PROPOSED') EXECUTE FUNCTION refuse_change()
"""

# Of the journal nothing goes, of the rest no table and no trigger.
KEEP_JOURNAL = """
CREATE FUNCTION public.ledger_keeps_journal() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped text;
BEGIN
    SELECT object_identity INTO dropped FROM pg_event_trigger_dropped_objects()
    WHERE address_names[1] = '{schema}' AND (
        address_names[2] = ANY ('{{{journal}}}') OR address_names[2] ~ '{partition}'
        OR address_names[2] = ANY ('{{{kept}}}') AND object_type IN ('table', 'trigger')
    ) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the journal is never changed: DROP of % refused', dropped
            USING ERRCODE = 'restrict_violation';
    END IF;
END $$
"""

# After whatever DDL, as ALTER INDEX renames a table too: every table is in its place under its name,
# and so are the partitions, or the next DROP would pass. Only ALTER TABLE detaches; elsewhere a table
# that is no partition is one about to be attached, its triggers with it. What is renamed of a column is
# the column: two could change places. A rule, or a trigger that is not as the ledger makes those of a
# partition (58: before an update, delete or truncation; 4: after an insert), could write other rows or
# none or guard nothing; and so could a function of its triggers, replaced.
KEEP_TABLES = """
CREATE FUNCTION public.ledger_keeps_tables() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own regnamespace := to_regnamespace('{schema}');
    lost text;
BEGIN
    SELECT name INTO lost FROM (
        SELECT name FROM unnest('{{{journal},{kept}}}'::name[]) AS expected (name)
        WHERE NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = own
                          AND relname = expected.name AND relkind IN ('r', 'p'))
        UNION ALL
        SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = to_regclass('{schema}.line')
            AND (relnamespace <> own OR relname !~ '{partition}'
                 OR 2 > (SELECT count(*) FROM pg_trigger WHERE tgrelid = inhrelid
                         AND tgname IN ('line_unchanged', 'line_balance')))
        UNION ALL
        SELECT relname FROM pg_class
        WHERE tg_tag = 'ALTER TABLE' AND relnamespace = own AND relkind = 'r'
            AND relname ~ '{partition}' AND NOT relispartition
        UNION ALL
        SELECT 'a column of ' || relname
        FROM pg_event_trigger_ddl_commands() JOIN pg_class ON pg_class.oid = objid
        WHERE object_type = 'table column' AND starts_with(command_tag, 'ALTER')
            AND relnamespace = own AND relname = ANY ('{{{journal},{kept}}}')
        UNION ALL
        SELECT 'what ' || proname || ' does'
        FROM pg_event_trigger_ddl_commands() JOIN pg_proc ON pg_proc.oid = objid
        WHERE classid = 'pg_proc'::regclass AND pronamespace = own
            AND EXISTS (SELECT FROM pg_trigger WHERE tgfoid = objid)
        UNION ALL
        SELECT 'what is written to ' || relname
        FROM pg_event_trigger_ddl_commands()
        LEFT JOIN pg_rewrite ON pg_rewrite.oid = objid AND command_tag = 'CREATE RULE'
        LEFT JOIN (pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid)
            ON pg_trigger.oid = objid AND command_tag = 'CREATE TRIGGER'
            AND NOT (pronamespace = own AND tgqual IS NULL AND tgattr = ''
                     AND (SELECT relname FROM pg_class WHERE oid = tgrelid) ~ '{partition}'
                     AND (tgname, tgtype, proname) IN (('line_unchanged', 58, 'refuse_change'),
                                                       ('line_balance', 4, 'check_lines')))
        JOIN pg_class ON pg_class.oid IN (ev_class, tgrelid)
        WHERE relnamespace = own
            AND (relname = ANY ('{{{journal},{kept}}}') OR relname ~ '{partition}')
    ) AS astray LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the journal is never changed: % refused, % would be lost to it',
            tg_tag, lost USING ERRCODE = 'restrict_violation';
    END IF;
END $$
"""

# ALTER TABLE … ALTER COLUMN … TYPE … USING gives every row another value, and no trigger of rows knows.
KEEP_ROWS = """
CREATE FUNCTION public.ledger_keeps_rows() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rewritten text;
BEGIN
    SELECT relname INTO rewritten FROM pg_class
    WHERE oid = pg_event_trigger_table_rewrite_oid() AND relnamespace = to_regnamespace('{schema}')
        AND (relname = ANY ('{{{journal},{kept}}}') OR relname ~ '{partition}');
    IF FOUND THEN
        RAISE EXCEPTION 'the journal is never changed: % refused, it rewrites %', tg_tag, rewritten
            USING ERRCODE = 'restrict_violation';
    END IF;
END $$
"""

# DETACH … CONCURRENTLY commits before the command ends, so it is refused before it begins, where there
# is nothing to see but its text. That is of one statement, as it runs in no transaction block, and has
# its two words as they are, whatever stands between them: a keyword cannot be quoted or escaped. The
# partition's name can be, as U&"…".
KEEP_PARTITIONS = """
CREATE FUNCTION public.ledger_keeps_partitions() RETURNS event_trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    asked text := (regexp_match(lower(current_query() COLLATE "C"), 'detach(.*)concurrently'))[1];
    detached text;
BEGIN
    SELECT relname INTO detached FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = to_regclass('{schema}.line')
        AND (strpos(asked, relname) > 0 OR strpos(asked, 'u&"') > 0)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the journal is never changed: % refused, % would be lost to it',
            tg_tag, detached USING ERRCODE = 'restrict_violation';
    END IF;
END $$
"""

EVENT_TRIGGERS = {
    "ledger_keeps_journal": "sql_drop",
    "ledger_keeps_tables": "ddl_command_end",
    "ledger_keeps_rows": "table_rewrite",
    "ledger_keeps_partitions": "ddl_command_start WHEN TAG IN ('ALTER TABLE')",
}


def _trigger(name: str, when: str, calls: str) -> str:
    return f"CREATE TRIGGER {name} {when} FOR EACH STATEMENT EXECUTE FUNCTION {calls}()"


def guarding(schema: str) -> list[str]:
    """The statements that make the schema's functions and triggers."""
    functions = (REFUSE_CHANGE, CHECK_LINES, CHECK_OPEN_DAY, OPEN_MONTH)
    change, removal = "BEFORE UPDATE OR DELETE OR TRUNCATE ON", "BEFORE DELETE OR TRUNCATE ON"
    account = f"BEFORE UPDATE OF {ACCOUNT_IDENTITY} ON account"
    book = f"BEFORE UPDATE OF {BOOK_IDENTITY} ON book"
    proposal = f"BEFORE UPDATE OF {PROPOSAL_IDENTITY} ON proposal"
    fresh = "REFERENCING NEW TABLE AS fresh"
    return [
        *(each.replace("{schema}", schema) for each in functions),
        "REVOKE EXECUTE ON FUNCTION open_month FROM PUBLIC",
        *(
            _trigger(f"{table}_unchanged", f"{change} {table}", "refuse_change")
            for table in JOURNAL
        ),
        *(_trigger(f"{table}_stays", f"{removal} {table}", "refuse_change") for table in KEPT),
        _trigger("account_identity", account, "refuse_change"),
        _trigger("book_identity", book, "refuse_change"),
        _trigger("proposal_identity", proposal, "refuse_change"),
        PROPOSAL_DECIDED,
        _trigger("line_balance", f"AFTER INSERT ON line {fresh}", "check_lines"),
        _trigger("entry_open_day", f"AFTER INSERT ON entry {fresh}", "check_open_day"),
    ]


def keeping(schema: str) -> list[str]:
    """The statements, a superuser's to run, that keep tables, columns, rows, triggers and partitions.

    The functions stand outside the schema, so that dropping it does not take them away first.
    """
    own = {
        "schema": schema,
        "journal": ",".join(JOURNAL),
        "kept": ",".join(KEPT),
        "partition": PARTITION,
    }
    return [
        *(each.format(**own) for each in (KEEP_JOURNAL, KEEP_TABLES, KEEP_ROWS, KEEP_PARTITIONS)),
        *(
            f"CREATE EVENT TRIGGER {name} ON {when} EXECUTE FUNCTION public.{name}()"
            for name, when in EVENT_TRIGGERS.items()
        ),
    ]
