"""Django projects behind `bridge.contrib.django`, on real servers, databases and in a browser."""
