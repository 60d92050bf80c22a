/// How far a worker has earned trust, as in BOINC's adaptive replication: valid *replicated*
/// results in a row. Recorded for every worker; every unit of the public pool is replicated
/// whatever it says.
package struct TrustRecord: Hashable, Sendable {
  package var consecutiveValid: Int

  package init(consecutiveValid: Int = 0) { self.consecutiveValid = consecutiveValid }

  /// A result was found right. Only a comparison with other machines' bits shows that.
  package mutating func recordValid(_ verification: Verification) {
    if verification != .trustedPool { consecutiveValid += 1 }
  }

  /// A result was found wrong.
  package mutating func recordInvalid() { consecutiveValid = 0 }
}
