import CoordinatorCore
import CoordinatorStore

extension FleetGauges {
  /// All of them as metrics of Prometheus.
  package func write(to text: inout MetricsText) {
    func states(_ label: String, _ counts: [String: Int]) -> [([(String, String)], Double)] {
      counts.sorted { $0.key < $1.key }.map { ([(label, $0.key)], Double($0.value)) }
    }
    text.metric("tally_units", .gauge, "Work units, by state.", states("state", units))
    text.metric("tally_batches", .gauge, "Batches, by status.", states("status", batches))
    text.metric(
      "tally_fine_tuning_jobs", .gauge, "Fine-tuning jobs, by state.",
      states("state", fineTuningJobs))
    text.metric(
      "tally_leases_running", .gauge, "Replicas that workers hold a lease on.",
      Double(runningLeases))
    text.metric(
      "tally_requests_waiting", .gauge, "Requests that are in no unit yet.",
      Double(waitingRequests))
    text.metric(
      "tally_replicas_missing", .gauge, "Replicas of open units that wait for a worker.",
      Double(missingReplicas))
    text.metric(
      "tally_oldest_batch_seconds", .gauge,
      "Seconds since the oldest batch that has not ended was created.", oldestBatchSeconds)
    text.metric("tally_workers", .gauge, "Workers that have joined.", Double(workers))
    text.metric(
      "tally_workers_active", .gauge, "Workers that asked for work lately.",
      Double(activeWorkers))
    text.metric(
      "tally_workers_suspended", .gauge, "Workers that get no work after a wrong result.",
      Double(suspendedWorkers))
    text.metric(
      "tally_accounts_suspended", .gauge, "Accounts that get no work after wrong results.",
      Double(suspendedAccounts))
    text.metric(
      "tally_audits_due", .gauge, "Accepted units that wait for an audit.", Double(audits.due))
    text.metric(
      "tally_audits_total", .counter, "Audits of accepted units, by what they found.",
      [
        ([("outcome", "passed")], Double(audits.passed)),
        ([("outcome", "failed")], Double(audits.failed)),
      ])
    text.metric(
      "tally_audits_failed_delivered_total", .counter,
      "Failed audits of results that had been delivered before.", Double(audits.failedDelivered))
    text.metric("tally_accounts", .gauge, "Accounts.", Double(accounts))
    text.metric(
      "tally_results_total", .counter, "Results with a verdict.",
      [
        ([("verdict", "accepted")], Double(acceptedResults)),
        ([("verdict", "rejected")], Double(rejectedResults)),
      ])
    text.metric(
      "tally_tokens_generated_total", .counter, "Tokens in accepted results.", Double(tokens))
    text.metric(
      "tally_energy_joules_total", .counter,
      "Joules that workers say accepted results took; measured with RAPL, or estimated.",
      [
        (
          [("method", "measured")],
          Double(energy.millijoules - energy.estimatedMillijoules) / 1000
        ),
        ([("method", "estimated")], energy.estimatedJoules),
      ])
    text.metric("tally_credit_total", .counter, "Credit granted.", credit.value)
    text.metric("tally_receipts_total", .counter, "Links of the receipt chain.", Double(receipts))
    text.metric(
      "tally_requests_total", .counter, "Requests of batches that ended.",
      [
        ([("outcome", "completed")], Double(completedRequests)),
        ([("outcome", "failed")], Double(failedRequests)),
      ])
  }
}
