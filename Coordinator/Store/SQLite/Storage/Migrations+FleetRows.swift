/// What the fleet's rows have of batches, queues and units. The order is that of
/// `Migrations.migrator`.
extension Migrations {
  /// What waits in a queue and what became of its units is counted in its row: a fleet that is
  /// loaded holds neither requests nor units that have ended. `tally` is a `UnitTally`.
  static let fleetWork = """
    ALTER TABLE queue ADD COLUMN waiting_sequences INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN waiting_prompt_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN waiting_max_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE queue ADD COLUMN tally TEXT NOT NULL
      DEFAULT '{"openFlops":0,"refused":0,"replicas":{},"units":{},"verified":{}}';
    ALTER TABLE unit ADD COLUMN verdict TEXT;
    UPDATE queue SET (waiting, waiting_sequences, waiting_prompt_tokens, waiting_max_tokens) = (
      SELECT count(*), ifnull(sum(sequences), 0), ifnull(sum(prompt_tokens), 0),
        ifnull(sum(max_tokens), 0)
      FROM request WHERE request.queue = queue.number AND request.state = 'waiting');
    UPDATE queue SET missing = (SELECT ifnull(sum(missing), 0) FROM unit
      WHERE unit.queue = queue.number AND unit.missing > 0);
    UPDATE queue SET tally = json_object(
      'units', json((SELECT json_group_object(state, count) FROM (
        SELECT state, count(*) AS count FROM unit WHERE unit.queue = queue.number GROUP BY 1))),
      'replicas', json((SELECT json_group_object(state, count) FROM (
        SELECT replica.state AS state, count(*) AS count
        FROM unit JOIN replica ON replica.unit = unit.number
        WHERE unit.queue = queue.number GROUP BY 1))),
      'verified', json((SELECT json_group_object(verification, count) FROM (
        SELECT verification, count(*) AS count FROM unit
        WHERE unit.queue = queue.number AND unit.state = 'accepted' GROUP BY 1))),
      'openFlops', (SELECT ifnull(sum(estimated_flops), 0.0) FROM unit
        WHERE unit.queue = queue.number AND unit.state IN ('open', 'awaiting_replay')),
      'refused', (SELECT count(DISTINCT unit.number)
        FROM unit JOIN replica ON replica.unit = unit.number
        WHERE unit.queue = queue.number AND replica.state = 'abandoned'
          AND replica.reason = 'invalidUnit'))
      WHERE EXISTS (SELECT 1 FROM unit WHERE unit.queue = queue.number);
    """

  /// What counts of an account's wrong results and of a worker's refused units, and how long its
  /// results took: a fleet that is loaded holds no units that have ended. Both lists are JSON of
  /// `WrongResult` and `Refusal`.
  static let fleetPeople = """
    ALTER TABLE account ADD COLUMN wrong_results TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE worker ADD COLUMN refusals TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE worker ADD COLUMN turnaround_seconds REAL NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN results INTEGER NOT NULL DEFAULT 0;
    UPDATE account SET wrong_results = (
      SELECT json_group_array(json(wrong)) FROM (
        SELECT json_object('worker', replica.worker,
          'flops', ifnull(unit.flops, unit.estimated_flops),
          'submittedAt', json_object('milliseconds', replica.submitted_at)) AS wrong
        FROM replica JOIN unit ON unit.number = replica.unit
        WHERE replica.account = account.id AND replica.state = 'rejected'
          AND replica.submitted_at IS NOT NULL ORDER BY replica.submitted_at));
    UPDATE worker SET refusals = (
      SELECT json_group_array(json(refused)) FROM (
        SELECT json_object('model', queue.manifest, 'replica', replica.number,
          'issuedAt', json_object('milliseconds', replica.issued_at),
          'isRefuted', json(iif(unit.state = 'accepted' AND unit.verification = 'replay',
            'true', 'false'))) AS refused
        FROM replica JOIN unit ON unit.number = replica.unit
          JOIN queue ON queue.number = unit.queue
        WHERE replica.worker = worker.id AND replica.reason = 'invalidUnit'
        ORDER BY replica.number));
    UPDATE worker SET (turnaround_seconds, results) = (
      SELECT ifnull(sum(submitted_at - issued_at), 0) / 1000.0, count(*) FROM replica
      WHERE replica.worker = worker.id AND submitted_at IS NOT NULL);
    """
}
