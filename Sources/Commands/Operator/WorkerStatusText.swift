import Foundation
import WorkerDaemon

/// A worker's status for people.
enum WorkerStatusText {
  static func lines(_ status: StatusDocument) -> [String] {
    var lines = [status.summary]
    func add(_ name: String, _ value: String?) {
      guard let value else { return }
      lines.append("  " + name.padding(toLength: 14, withPad: " ", startingAt: 0) + value)
    }
    // What it waits for is in the first line.
    if !status.summary.contains("; trying again ") { add("attention", status.coordinator_problem) }
    if !status.summary.contains("; going on in") { add("attention", status.unit_problem) }
    if let unit = status.unit {
      add("unit", Self.words(unit))
    }
    add(
      "done",
      "\(Spelled.count(status.results)) results, \(Spelled.count(status.tokens)) tokens in "
        + duration(status.uptime_seconds))
    if status.resumed_sequences > 0 {
      add("resumed", "\(Spelled.count(status.resumed_sequences)) requests of interrupted units")
    }
    if status.waiting_results > 0 { add("to be sent", "\(status.waiting_results) results") }
    if let speed = status.flops_per_second {
      add("speed", String(format: "%.0f GFLOP/s over the last units", speed / 1e9))
    }
    let limits = status.limits
    add(
      "limits",
      "\(limits.cpu_percent) % of \(limits.threads) \(limits.threads == 1 ? "thread" : "threads")"
        + because(limits.threads_because) + ", \(Spelled.bytes(limits.memory_bytes)) of memory"
        + because(limits.memory_because)
        + (limits.cgroup_weight.map { ", control group's weight \($0)" } ?? ""))
    add("attention", limits.cgroup_problem.map { "cgroup_weight has no effect: \($0)" })
    add("cache", "\(Spelled.bytes(status.cache_used_bytes)) of \(Spelled.bytes(limits.cache_bytes))"
      + because(limits.cache_because))
    if let network = status.network { add("network", words(network)) }
    if let energy = status.energy { add("energy", words(energy)) }
    if let choices = status.choices { add("chosen", WorkChoicesText.words(choices)) }
    if let standing = status.standing {
      let age = standing.age_seconds < 60 ? "" : ", \(duration(standing.age_seconds)) ago"
      add("this worker", words(standing.worker) + age)
      add(
        "account",
        words(standing.account) + ", place \(standing.rank) of \(standing.accounts)" + age)
    }
    if status.mode == "always" { add("mode", "always: whatever else the machine does") }
    add("for", status.account.map { account in
      account + (status.coordinator.map { " at \($0)" } ?? "")
    })
    add("attention", status.preferences_problem)
    add("message", status.message)
    return lines
  }

  private static func because(_ reason: String?) -> String { reason.map { " (\($0))" } ?? "" }

  private static func words(_ network: StatusDocument.Network) -> String {
    var words = network.paused_because
    let limit = network.monthly_limit_bytes.map { " of \(Spelled.bytes($0))" } ?? ""
    words.append("\(Spelled.bytes(network.month_bytes))\(limit) this month")
    if let rate = network.download_bytes_per_second {
      words.append("down \(Spelled.bytes(rate))/s at most")
    }
    if let rate = network.upload_bytes_per_second {
      words.append("up \(Spelled.bytes(rate))/s at most")
    }
    return words.joined(separator: "; ")
  }

  private static func words(_ energy: StatusDocument.Energy) -> String? {
    guard energy.total_joules > 0 || energy.watts != nil else { return nil }
    var parts: [String] = []
    func add(_ joules: Double, _ estimated: Double, _ what: String) {
      // The method at the end is that of now; what was found otherwise says so.
      let isMixed = energy.method == .measured ? estimated > 0 : estimated < joules
      parts.append(
        "\(amount(joules)) \(what)" + (isMixed ? ", in part \(otherMethod(energy))" : ""))
    }
    if let watts = energy.watts {
      parts.append(String(format: watts < 10 ? "%.1f W now" : "%.0f W now", watts))
    }
    if let joules = energy.unit_joules {
      add(joules, energy.unit_estimated_joules ?? 0, "for this unit")
    }
    add(energy.today_joules, energy.today_estimated_joules, "today")
    add(energy.total_joules, energy.total_estimated_joules, "in all")
    return parts.joined(separator: "; ") + " " + method(energy)
  }

  private static func method(_ energy: StatusDocument.Energy) -> String {
    energy.method == .measured
      ? "(measured: RAPL)" : "(estimate: \(energy.watts_per_core) W a busy core)"
  }

  private static func otherMethod(_ energy: StatusDocument.Energy) -> String {
    energy.method == .measured ? "estimated" : "measured"
  }

  /// `12.3 J`, `4.2 kJ`, `0.1234 kWh`.
  private static func amount(_ joules: Double) -> String {
    switch joules {
    case ..<1000: String(format: "%.1f J", joules)
    case ..<100_000: String(format: "%.1f kJ", joules / 1000)
    default: "\(Spelled.kilowattHours(joules)) kWh"
    }
  }

  private static func words(_ unit: StatusDocument.Unit) -> String {
    var parts = ["\(unit.unit.prefix(12)), \(Int((unit.share * 100).rounded(.down))) % done"]
    if let speed = unit.tokens_per_second { parts.append(String(format: "%.1f tokens/s", speed)) }
    if let seconds = unit.due_in_seconds { parts.append("due in \(duration(seconds))") }
    return parts.joined(separator: ", ")
  }

  private static func words(_ contribution: StatusDocument.Contribution) -> String {
    "credit \(Spelled.credit(contribution.credit)) "
      + "(\(Spelled.credit(contribution.recent_average_credit)) a day"
      + (contribution.credit_today.map { ", \(Spelled.credit($0)) today" } ?? "") + "), "
      + "\(Spelled.count(contribution.units)) units, \(Spelled.count(contribution.tokens)) tokens"
  }

  private static func duration(_ seconds: Int) -> String {
    switch seconds {
    case ..<120: "\(seconds) s"
    case ..<7200: "\(seconds / 60) min"
    case ..<172_800: "\(seconds / 3600) h"
    default: "\(seconds / 86400) days"
    }
  }
}
