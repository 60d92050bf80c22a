import WireProtocol
import WorkerCore

/// What `tally worker status --json` prints. Keys are only ever added.
package struct StatusDocument: Codable, Hashable, Sendable {
  /// The unit at work.
  package struct Unit: Codable, Hashable, Sendable {
    package var unit: String
    package var lease: String
    /// The share that is done, 0 to 1.
    package var share: Double
    /// Tokens generated a second, of late.
    package var tokens_per_second: Double?
    /// Seconds until the lease ends unless the coordinator extends it.
    package var due_in_seconds: Int?
  }

  /// What the coordinator has counted of this worker or its account.
  package struct Contribution: Codable, Hashable, Sendable {
    package var units: Int
    package var tokens: Int
    package var credit: Double
    /// Credit a day.
    package var recent_average_credit: Double
    /// Of the day of UTC on which the coordinator was asked; nil where it did not say.
    package var units_today: Int?
    package var credit_today: Double?

    init(_ contribution: WireProtocol.Standing.Contribution) {
      units = contribution.units
      tokens = contribution.tokens
      credit = contribution.credit
      recent_average_credit = contribution.recentAverageCredit
      units_today = contribution.unitsToday
      credit_today = contribution.creditToday
    }
  }

  /// What the coordinator said when it was last asked.
  package struct Standing: Codable, Hashable, Sendable {
    package var worker: Contribution
    package var account: Contribution
    /// The account's place by credit among so many.
    package var rank: Int
    package var accounts: Int
    /// Seconds since it was said.
    package var age_seconds: Int

    init(_ note: StandingNote, unixSeconds: Int) {
      worker = Contribution(note.standing.worker)
      account = Contribution(note.standing.account)
      rank = note.standing.rank
      accounts = note.standing.accounts
      age_seconds = max(0, unixSeconds - note.takenAt)
    }
  }

  /// What is in force now.
  package struct Limits: Codable, Hashable, Sendable {
    package var cpu_percent: Int
    package var threads: Int
    package var memory_bytes: Int
    package var cache_bytes: Int
    /// What leaves the worker fewer threads or less memory than the machine has, in words; nil
    /// where it is not the machine, but what the owner said.
    package var threads_because: String?
    package var memory_because: String?
    /// The setting that limits the cache, with its value.
    package var cache_because: String?
    /// Of the worker's control group, where the preferences set one and it is in force, or why it
    /// is not.
    package var cgroup_weight: Int?
    package var cgroup_problem: String?
  }

  /// What is transferred: blobs down, results up.
  package struct Network: Codable, Hashable, Sendable {
    /// Why nothing is, in words; empty when it may be.
    package var paused_because: [String]
    /// In this month of the machine's calendar, both directions.
    package var month_bytes: Int
    package var monthly_limit_bytes: Int?
    package var download_bytes_per_second: Int?
    package var upload_bytes_per_second: Int?
  }

  /// What computing takes. Joules are the worker's share of what the processor's counters show, or
  /// an estimate from the time for which it kept processors busy.
  package struct Energy: Codable, Hashable, Sendable {
    package enum Method: String, Codable, Hashable, Sendable {
      case measured, estimated
    }
    /// How it is known now; nil before the first unit.
    package var method: Method?
    /// What the estimate assumes of a busy processor.
    package var watts_per_core: Int
    /// Of late; nil when nothing runs.
    package var watts: Double?
    /// Of the running unit, its interrupted runs too, and the part that was estimated.
    package var unit_joules: Double?
    package var unit_estimated_joules: Double?
    /// Of this day of UTC.
    package var today_joules: Double
    package var today_estimated_joules: Double
    package var total_joules: Double
    package var total_estimated_joules: Double

    init(_ state: EnergyRecorder.State, wattsPerCore: Int) {
      method = state.isEstimating.map { $0 ? .estimated : .measured }
      watts_per_core = wattsPerCore
      watts = state.watts
      unit_joules = state.unit?.joules
      unit_estimated_joules = state.unit?.estimatedJoules
      today_joules = state.today.joules
      today_estimated_joules = state.today.estimatedJoules
      total_joules = state.total.joules
      total_estimated_joules = state.total.estimatedJoules
    }
  }

  /// One sentence.
  package var summary: String
  /// Why it does not compute, in words; empty when nothing keeps it from that.
  package var paused_because: [String]
  /// `preferences`, `always` or `paused`.
  package var mode: String
  package var coordinator: String?
  package var account: String?
  package var worker: String?
  package var unit: Unit?
  package var standing: Standing?
  package var limits: Limits
  /// Results that the coordinator has answered for, and the tokens in them, since the start.
  package var results: Int
  package var tokens: Int
  /// Sequences that interrupted runs had finished and that were not computed again.
  package var resumed_sequences: Int
  package var waiting_results: Int
  package var cache_used_bytes: Int
  package var flops_per_second: Double?
  package var uptime_seconds: Int
  /// Why the preferences' file is not in force.
  package var preferences_problem: String?
  /// Nil from a worker that is older.
  package var network: Network?
  /// Nil from a worker that is older.
  package var energy: Energy?
  /// What the coordinator's operator tells volunteers.
  package var message: String?
  /// Why the coordinator turns this worker away, or which request to it fails and why, and when it
  /// is asked again; nil while everything is answered.
  package var coordinator_problem: String?
  /// Why the last unit failed on this machine; nil once one succeeds.
  package var unit_problem: String?
  /// Which work the owner chose; nil: any.
  package var choices: WorkChoices?
}
