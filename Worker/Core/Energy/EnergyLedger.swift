/// What computing took so far: in all, on each day of UTC, and for each unit that is held.
package struct EnergyLedger: Hashable, Sendable, Codable {
  private struct Unit: Hashable, Codable {
    var lease: String
    var use: EnergyUse
  }

  package private(set) var total = EnergyUse()
  private var days: [String: EnergyUse] = [:]
  /// The latest last.
  private var units: [Unit] = []

  /// Days and units beyond so many are forgotten, the oldest first.
  private static let daysKept = 400
  private static let unitsKept = 16

  package init() {}

  /// Of a day of UTC.
  package func use(on day: CivilDay) -> EnergyUse { days[day.spelled] ?? EnergyUse() }

  /// Of a held unit, over all its runs.
  package func use(ofLease lease: String) -> EnergyUse {
    units.first { $0.lease == lease }?.use ?? EnergyUse()
  }

  /// Counts what the units of these leases took together.
  package mutating func add(_ use: EnergyUse, leases: [String], on day: CivilDay) {
    guard use.joules > 0, !leases.isEmpty else { return }
    total += use
    days[day.spelled, default: EnergyUse()] += use
    while days.count > Self.daysKept, let oldest = days.keys.min() { days[oldest] = nil }
    for lease in leases {
      if !units.contains(where: { $0.lease == lease }) {
        units.append(Unit(lease: lease, use: EnergyUse()))
      }
      for index in units.indices where units[index].lease == lease {
        units[index].use += use * (1 / Double(leases.count))
      }
    }
    if units.count > Self.unitsKept { units.removeFirst(units.count - Self.unitsKept) }
  }

  /// Forgets a unit that is not held any more; it stays in the totals.
  package mutating func forget(lease: String) { units.removeAll { $0.lease == lease } }
}

/// A day of UTC.
package struct CivilDay: Hashable, Sendable {
  /// `2031-04-09`.
  package let spelled: String

  /// The day of a time in seconds since 1970: Howard Hinnant's `civil_from_days`, whose years begin
  /// in March.
  package init(unixSeconds: Int) {
    let days = unixSeconds / 86_400 - (unixSeconds % 86_400 < 0 ? 1 : 0) + 719_468
    let era = (days >= 0 ? days : days - 146_096) / 146_097
    let dayOfEra = days - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func padded(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    spelled = "\(year)-\(padded(month))-\(padded(day))"
  }
}
