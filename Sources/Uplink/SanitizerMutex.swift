#if EDGE_THREAD_SANITIZER
import SanitizerMutex

typealias Mutex<Value: ~Copyable> = PthreadMutex<Value>
#endif
