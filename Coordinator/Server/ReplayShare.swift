import MachineLimits

/// What the replay of one unit may take of the machine.
package struct ReplayShare: Hashable, Sendable {
  package var threads: Int
  /// In bytes.
  package var memoryBytes: Int

  /// By what the control groups around the coordinator leave now: they can change while it runs.
  ///
  /// - Parameters:
  ///   - threads: the most that the configuration allows.
  ///   - root: before the path of every system file; empty but in tests.
  package init(threads: Int, root: String = "") {
    let limits = MachineLimits(root: root)
    self.threads = min(threads, limits.threads)
    // The other half is the coordinator's own.
    memoryBytes = limits.memoryBytes / 2
  }
}
