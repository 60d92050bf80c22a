import WireProtocol

extension Fleet {
  /// Adds a line to a job's history.
  mutating func note(_ event: FineTuningEvent, ofJob number: Int64) {}
}
