import WireProtocol

/// Whether an operator means the oldest version that workers may have.
package enum MinimumVersion {
  /// Why a version is probably a slip, in a sentence; nil when it is not.
  ///
  /// - Parameters:
  ///   - own: the coordinator's version; nobody can have a newer program for it.
  ///   - fleet: versions of the workers that are there; nil for one that keeps it private.
  package static func objection(
    to minimum: ProgramVersion, own: ProgramVersion, fleet: [ProgramVersion?]
  ) -> String? {
    let known = fleet.compactMap(\.self)
    let older = known.count { $0 < minimum }
    let hidden = fleet.count - known.count
    let numbers =
      "\(older) of the \(known.count) workers that asked for work within a day and say their "
      + "version are older" + (hidden > 0 ? "; \(hidden) more keep it private" : "")
    if minimum > own {
      return "\(minimum) is newer than this coordinator, which is \(own); \(numbers)"
    }
    return older * 2 > known.count ? "that would put off most of the fleet: \(numbers)" : nil
  }
}
